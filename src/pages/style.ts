import { accountStyle } from './style.account.ts';
import { changeStyle } from './style.change.ts';
import { contentStyle } from './style.content.ts';
import { explainStyle } from './style.explain.ts';
import { formStyle } from './style.form.ts';
import { planStyle } from './style.plan.ts';

/** Colours, type and the frame of a page. */
const baseStyle = `
:root {
  color-scheme: light dark;
  --page: #f6f6f3; --panel: #fff; --sunk: #f0f0ec; --line: #dddcd5; --strong-line: #8b8a80;
  --text: #1d2321; --muted: #5b635f; --accent: #0f6450; --on-accent: #fff; --accent-soft: #e2f0eb;
  --good: #11603f; --good-soft: #ddf2e5; --warn: #7a4b00; --warn-soft: #fcefd2; --bad: #a3211b; --bad-soft: #fce4e1; --off: #4f5663; --off-soft: #e8eaee;
  --focus: #1a6fd4; --radius: 8px;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "Liberation Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131716; --panel: #1b201f; --sunk: #232a28; --line: #323a37; --strong-line: #6f7a76;
    --text: #e6eae8; --muted: #a0aaa6; --accent: #6fcfb3; --on-accent: #06231b; --accent-soft: #1d3932;
    --good: #83dcab; --good-soft: #17382a; --warn: #f0c471; --warn-soft: #3b2d10; --bad: #ff9d94; --bad-soft: #42201d; --off: #b7bfca; --off-soft: #2b3138;
    --focus: #7db8ff;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  display: grid; grid-template: auto 1fr / 15rem minmax(0, 1fr); grid-template-areas: "top top" "side main"; min-height: 100vh;
}
body.bare { grid-template-columns: minmax(0, 1fr); grid-template-areas: "top" "main"; }
main { grid-area: main; padding: 1.5rem 2rem 3rem; max-width: 90rem; min-width: 0; width: 100%; border-left: 1px solid var(--line); }
main:focus { outline: none; }
body.bare main { max-width: 60rem; margin: 0 auto; border: 0; }
h1 { font-size: 1.65rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 0 0 .6rem; overflow-wrap: anywhere; }
p { margin: 0 0 .8rem; max-width: 70ch; }
a { color: var(--accent); text-underline-offset: .15em; text-decoration-thickness: 1px; }
a:hover { text-decoration-thickness: 2px; }
code, pre, .code { font-family: var(--mono); font-size: .875em; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 3px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: .5rem; top: -4rem; z-index: 2; background: var(--panel); padding: .5rem 1rem; border-radius: var(--radius); }
.skip:focus { top: .5rem; }
.muted, .none, .summary { color: var(--muted); }
.summary { margin-bottom: 1.2rem; }

.top { grid-area: top; display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: .55rem 2rem .55rem 1.25rem; background: var(--panel); border-bottom: 1px solid var(--line); }
.brand { display: inline-flex; gap: .55rem; align-items: center; font-weight: 700; font-size: 1.1rem; color: var(--text); text-decoration: none; }
.brand img { display: block; }
.who { display: flex; align-items: center; gap: .9rem; margin: 0; font-size: .9rem; min-width: 0; }
.who > span:first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
nav.side { grid-area: side; padding: 1rem .75rem 2rem; font-size: .925rem; align-self: start; position: sticky; top: 0; max-height: calc(100vh - 3rem); overflow-y: auto; }
nav ul { list-style: none; margin: 0; padding: 0; }
.side h2, .menu h2, .side summary, .menu nav summary { font-size: .74rem; font-weight: 650; text-transform: uppercase; letter-spacing: .06em; color: var(--muted); margin: 1.1rem 0 .25rem; padding: 0 .6rem; }
.side summary, .menu nav summary { cursor: pointer; }
.side li a, .menu li a { display: block; padding: .22rem .6rem; border-radius: 6px; color: var(--text); text-decoration: none; }
.side li a:hover, .menu li a:hover { background: var(--sunk); }
.side a[aria-current], .menu a[aria-current] { background: var(--accent-soft); color: var(--accent); font-weight: 600; }
.menu { display: none; }
.crumbs { font-size: .9rem; margin-bottom: .35rem; }
.crumbs ol { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem .4rem; margin: 0; padding: 0; min-width: 0; }
.crumbs li { overflow-wrap: anywhere; min-width: 0; }
.crumbs li:not(:last-child)::after { content: "/" / ""; color: var(--muted); margin-left: .4rem; }

button, .button {
  display: inline-block; font: inherit; font-weight: 600; font-size: .925rem; line-height: 1.3; padding: .45rem .9rem; cursor: pointer;
  border: 1px solid var(--strong-line); border-radius: var(--radius); background: var(--panel); color: var(--text); text-decoration: none; white-space: nowrap;
}
button:hover, .button:hover { background: var(--sunk); }
.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.primary:hover { background: color-mix(in srgb, var(--accent) 86%, var(--text)); }
.danger { border-color: var(--bad); color: var(--bad); }
.danger:hover { background: var(--bad-soft); }
.quiet { padding: .25rem .6rem; font-weight: 500; border-color: var(--line); }
.head { display: flex; flex-wrap: wrap; align-items: flex-start; justify-content: space-between; gap: .5rem 1.5rem; margin-bottom: 1rem; }
.head > :first-child { flex: 1 1 16rem; min-width: 0; }
.actions { display: flex; flex-wrap: wrap; gap: .6rem; align-items: flex-start; justify-content: flex-end; }
.total { color: var(--muted); font-weight: 400; font-size: .8em; font-variant-numeric: tabular-nums; }
.head .summary { margin-bottom: 0; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); padding: 1rem 1.25rem; margin: 0 0 1.25rem; }
.panel > :last-child { margin-bottom: 0; }
.links { display: flex; flex-wrap: wrap; gap: .4rem .9rem; }
.foot { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; align-items: center; justify-content: space-between; margin-top: 1.2rem; font-size: .9rem; }
.foot p { margin: 0; }
.pages { display: flex; gap: .6rem; }

@media (max-width: 60rem) {
  body { grid-template: auto auto 1fr / minmax(0, 1fr); grid-template-areas: "top" "menu" "main"; }
  body.bare { grid-template-rows: auto 1fr; grid-template-areas: "top" "main"; }
  nav.side { display: none; }
  .menu { display: block; grid-area: menu; background: var(--panel); border-bottom: 1px solid var(--line); }
  .menu > summary { padding: .6rem 1rem; font-weight: 600; cursor: pointer; }
  .menu nav { padding: 0 .5rem 1rem; columns: 2 10rem; }
  .menu nav ul, .menu nav details { break-inside: avoid; }
  .menu nav h2 { break-after: avoid; }
  .menu li a { padding: .45rem .6rem; }
  .top { padding: .5rem 1rem; }
  main { padding: 1.1rem 1rem 2.5rem; border: 0; }
  h1 { font-size: 1.4rem; }
}
@media (prefers-reduced-motion: no-preference) {
  button, .button, .card, .skip { transition: background-color .12s, border-color .12s, top .12s; }
}
@media (forced-colors: active) {
  .badge, .tag, .verb, .error { border: 1px solid; }
}
@media print {
  nav.side, .menu, .who, .filters, .actions, .sorting, .skip { display: none; }
  body { display: block; }
}
`;

/** The one stylesheet of all pages. */
export const stylesheet = baseStyle + contentStyle + formStyle + changeStyle + planStyle + explainStyle + accountStyle;
