import { accountPage, codesPage, setUpPage } from './account.tsx';
import { changePage } from './change.tsx';
import { changesPage } from './changes.tsx';
import { differencePage } from './difference.tsx';
import { docsPage } from './docs.tsx';
import { documentPage } from './document.tsx';
import { explainPage } from './explain.tsx';
import { formPage } from './form.tsx';
import { historyPage } from './history.tsx';
import { homePage } from './home.tsx';
import { listPage } from './list.tsx';
import { factorPage, firstPage, loggedOutPage, loginPage } from './login.tsx';
import { linkPage } from './people.tsx';
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
  loggedOut: loggedOutPage,
  factor: factorPage,
  first: firstPage,
  recoveryCodes: codesPage,
  account: accountPage,
  setUpFactor: setUpPage,
  link: linkPage,
  problem: problemPage,
  document: documentPage,
  plan: planPage,
  changes: changesPage,
  change: changePage,
  history: historyPage,
  difference: differencePage,
  explain: explainPage,
  docs: docsPage,
};
