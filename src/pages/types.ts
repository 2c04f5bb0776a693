import type { Identity } from '../auth/identity.ts';
import type { AccountRow } from '../auth/people/account.ts';
import type { SessionRow } from '../auth/people/sessions.ts';
import type { Catalog, Field, Model } from '../db/catalog.ts';
import type { Change } from '../db/changes.ts';
import type { Plan } from '../db/plan.ts';
import type { Page, Row } from '../db/read.ts';
import type { ChangeHead, HistoryEntry } from '../changes/history.ts';
import type { PastDocument } from '../documents/history.load.ts';
import type { Convergence } from '../reports/convergence.ts';
import type { Explanation } from '../explain/types.ts';
import type { ProblemDocument } from '../kernel/problem.ts';

/** What every page needs. */
export interface PageContext {
  readonly catalog: Catalog;
  /** Undefined on the login page and where the token was refused. */
  readonly identity: Identity | undefined;
  /** The request's URL. */
  readonly url: URL;
}

/** Rows of another noun that name the thing on the page. */
export interface Related {
  readonly model: Model;
  readonly field: Field;
  readonly page: Page;
}

export interface ThingView {
  readonly model: Model;
  readonly row: Row;
  readonly related: readonly Related[];
  /** Natural keys of referred things to what people call them (a VM's uuid to its name), by field. */
  readonly labels: Readonly<Record<string, string>>;
  /** Shown once, e.g. a new token. */
  readonly once?: Readonly<Record<string, unknown>>;
  readonly etag: string;
  /** How far its hosts are with it, where hosts build it. */
  readonly convergence?: Convergence;
}

/** A thing that a reference may name: its natural key, and what people call it. */
export interface Option {
  readonly key: string;
  readonly label: string;
}

export interface FormView {
  readonly model: Model;
  /** The row that is changed; undefined when a new one is made. */
  readonly row: Row | undefined;
  /** What was entered, after a refusal. */
  readonly values: Readonly<Record<string, unknown>> | undefined;
  readonly problem: ProblemDocument | undefined;
  readonly etag: string | undefined;
  /** What a reference may name, by noun, where there are few. */
  readonly options: Readonly<Record<string, readonly Option[]>>;
}

export interface DocumentView {
  readonly envelope: string;
  readonly node: string;
  readonly version: string;
  readonly builtAt: Date;
  /** The data as YAML text. */
  readonly text: string;
  /** It is the one of the past that was asked for: the change that gave it, where one is known. */
  readonly past?: { readonly change: number | null };
}

/** The readable difference of a document that a change gave. */
export interface DocumentDifference {
  readonly node: number;
  readonly fqdn: string;
  readonly version: string;
  readonly text: string;
}

export interface ChangeView {
  readonly change: Change & { readonly reverted_by: readonly number[] };
  /** Of the first documents. */
  readonly differences: readonly DocumentDifference[];
  /** What a revert could not bring back. */
  readonly warnings?: readonly string[];
}

export interface HistoryView {
  readonly model: Model;
  readonly key: string;
  /** What it is called. */
  readonly title: string;
  /** The one field that is asked for. */
  readonly field: Field | undefined;
  readonly entries: readonly HistoryEntry[];
  readonly next: string | undefined;
}

export interface DifferenceView {
  readonly node: string;
  readonly before: PastDocument | undefined;
  readonly after: PastDocument | undefined;
  readonly text: string;
}

export interface PlanView {
  readonly plan: Plan;
  /** The effect is another than that of the plan that was agreed to. */
  readonly problem?: ProblemDocument;
  /** The form that was sent: where to, and its values. */
  readonly again?: { readonly model: Model | undefined; readonly action: string; readonly back?: string; readonly values: Readonly<Record<string, unknown>> };
}

export interface LoginView {
  readonly problem?: ProblemDocument;
  readonly next: string;
  /** The name that was refused. */
  readonly name?: string;
  /** The problem is the token's. */
  readonly token?: boolean;
  /** What the button of the OpenID Connect provider says, where there is one. */
  readonly oidc?: string;
}

/** The second factor is asked for; with `secret` and `uri` it is set up. */
export interface FactorView {
  readonly name: string;
  readonly next: string;
  readonly problem?: ProblemDocument;
  readonly secret?: string;
  readonly uri?: string;
}

export interface FirstView {
  readonly link: string;
  /** The link makes the first person. */
  readonly first: boolean;
  readonly name: string;
  readonly fullName: string;
  readonly problem?: ProblemDocument;
}

export interface SetUpView {
  readonly secret: string;
  readonly uri: string;
  readonly problem?: ProblemDocument;
}

export interface LinkView {
  readonly name: string;
  readonly login_link: string;
  readonly ends_at: string;
}

export interface AccountView {
  readonly account: AccountRow;
  /** Alive, the newest first; `here`: this browser's. */
  readonly sessions: readonly (SessionRow & { readonly here: boolean })[];
  /** A second factor is demanded. */
  readonly must: boolean;
  /** What was done just now. */
  readonly done?: string;
  readonly refused?: { readonly at: string; readonly problem: ProblemDocument };
}

/** The pages: each gives a whole HTML document. */
export interface Pages {
  /** `node`: one that is there, for the commands to try. */
  home(context: PageContext, counts: Readonly<Record<string, number>>, statuses: Readonly<Record<string, number>>, node?: string): string;
  list(context: PageContext, view: { model: Model; page: Page }): string;
  thing(context: PageContext, view: ThingView): string;
  form(context: PageContext, view: FormView): string;
  login(context: PageContext, view: LoginView): string;
  /** Ended here; the browser goes on to `href`, where it ends at the provider of OpenID Connect, too. */
  loggedOut(context: PageContext, view: { provider: string; href: string }): string;
  factor(context: PageContext, view: FactorView): string;
  first(context: PageContext, view: FirstView): string;
  recoveryCodes(context: PageContext, view: { codes: readonly string[]; next: string }): string;
  account(context: PageContext, view: AccountView): string;
  setUpFactor(context: PageContext, view: SetUpView): string;
  link(context: PageContext, view: LinkView): string;
  problem(context: PageContext, problem: ProblemDocument): string;
  document(context: PageContext, view: DocumentView): string;
  changes(context: PageContext, view: { changes: readonly ChangeHead[]; next: string | undefined }): string;
  change(context: PageContext, view: ChangeView): string;
  history(context: PageContext, view: HistoryView): string;
  difference(context: PageContext, view: DifferenceView): string;
  plan(context: PageContext, view: PlanView): string;
  explain(context: PageContext, explanation: Explanation): string;
  docs(context: PageContext, openapi: Readonly<Record<string, unknown>>): string;
}
