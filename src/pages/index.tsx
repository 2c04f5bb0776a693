import { docsPage } from './docs.tsx';
import { documentPage } from './document.tsx';
import { explainPage } from './explain.tsx';
import { formPage } from './form.tsx';
import { homePage } from './home.tsx';
import { listPage } from './list.tsx';
import { loginPage } from './login.tsx';
import { planPage } from './plan.tsx';
import { problemPage } from './problem.tsx';
import { thingPage } from './thing.tsx';
import type { Pages } from './types.ts';

/** The pages for people. They need no script. */
export const pages: Pages = {
  home: homePage,
  list: listPage,
  thing: thingPage,
  form: formPage,
  login: loginPage,
  problem: problemPage,
  document: documentPage,
  plan: planPage,
  explain: explainPage,
  docs: docsPage,
};
