import type { Child } from 'hono/jsx';
import type { Model } from '../db/catalog.ts';
import { listHref } from './link.ts';
import type { PageContext } from './types.ts';
import { pluralOf } from './words.ts';

const areas = ['Place', 'Roles', 'Virtual machines', 'Storage', 'Network', 'Ceph', 'People', 'Layers', 'Control', 'Lists'];

/** The nouns by area, in the order of the navigation: new areas after those known, the lists last. */
export function byArea(models: readonly Model[]): [string, Model[]][] {
  const groups = new Map<string, Model[]>();
  for (const model of models) {
    const group = groups.get(model.resource.area) ?? [];
    groups.set(model.resource.area, group);
    group.push(model);
  }
  const rank = (area: string): number => (area === 'Lists' ? areas.length : areas.includes(area) ? areas.indexOf(area) : areas.length - 0.5);
  return [...groups].sort(([a], [b]) => rank(a) - rank(b));
}

const Links = ({ context, current }: { context: PageContext; current: Model | undefined }) => {
  const here = context.url.pathname;
  const item = (href: string, text: string, at: boolean) => (
    <li>
      <a href={href} aria-current={here === href ? 'page' : at ? 'true' : undefined}>
        {text}
      </a>
    </li>
  );
  const group = (models: readonly Model[]) => <ul>{models.map((model) => item(listHref(model), pluralOf(model), model === current))}</ul>;
  return (
    <>
      <ul>
        {item('/', 'Overview', false)}
        {item('/changes', 'Changes', here.startsWith('/changes/') || here.startsWith('/api/v1/changes'))}
        {item('/docs', 'API reference', false)}
      </ul>
      {byArea(context.catalog.models).map(([area, models]) =>
        area === 'Lists' ? (
          <details open={models.some((model) => model === current)}>
            <summary>{area}</summary>
            {group(models)}
          </details>
        ) : (
          <>
            <h2>{area}</h2>
            {group(models)}
          </>
        ),
      )}
    </>
  );
};

const Who = ({ context }: { context: PageContext }) => {
  const { identity } = context;
  if (!identity) return null;
  return (
    <form class="who" method="post" action="/logout">
      <span>
        {identity.session === undefined ? (
          <>
            <span class="unseen">Logged in with the token </span>
            <b>{identity.name}</b>
            <span class="muted"> {identity.name === identity.kind ? '' : identity.kind}</span>
          </>
        ) : (
          <a href="/account" aria-label={`Account of ${identity.name}`} aria-current={context.url.pathname === '/account' ? 'page' : undefined}>
            {identity.name}
          </a>
        )}
      </span>
      <button class="quiet" type="submit">
        Log out
      </button>
    </form>
  );
};

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='7' fill='%23176b57'/%3E%3Cpath d='M7 12h18M7 20h18M11 8v16M21 8v16' stroke='white' stroke-width='2.6' stroke-linecap='round'/%3E%3C/svg%3E";

interface LayoutProps {
  readonly context: PageContext;
  readonly title: string;
  /** The noun that the page belongs to. */
  readonly model?: Model | undefined;
  /** A page for those who are not logged in: no navigation. */
  readonly bare?: boolean;
  readonly children?: Child;
}

/** A whole page, without its doctype. */
export const Layout = ({ context, title, model, bare = false, children }: LayoutProps) => (
  <html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <title>{title === 'Corral' ? title : `${title} · Corral`}</title>
      <link rel="icon" href={icon} />
      <link rel="stylesheet" href="/style.css" />
    </head>
    <body class={bare ? 'bare' : undefined}>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="/">
          <img src={icon} alt="" width="24" height="24" /> Corral
        </a>
        <Who context={context} />
      </header>
      {bare ? null : (
        <>
          <details class="menu">
            <summary>Menu</summary>
            <nav aria-label="Menu">
              <Links context={context} current={model} />
            </nav>
          </details>
          <nav class="side" aria-label="Everything">
            <Links context={context} current={model} />
          </nav>
        </>
      )}
      <main id="main" tabindex={-1}>
        {children}
      </main>
    </body>
  </html>
);

/** Where the page is. */
export const Crumbs = ({ steps }: { steps: readonly (readonly [string, string])[] }) => (
  <nav class="crumbs" aria-label="You are here">
    <ol>
      {steps.map(([href, text]) => (
        <li>
          <a href={href}>{text}</a>
        </li>
      ))}
    </ol>
  </nav>
);

/** HTML of a page. Components here wait for nothing, so that the string is there at once. */
export function render(page: unknown): string {
  return `<!doctype html>${String(page)}`;
}
