/** Plans. */
export const planStyle = `
.planned { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); margin: 0 0 .5rem; }
.planned > summary { cursor: pointer; padding: .5rem 1.25rem; overflow-wrap: anywhere; }
del, ins { text-decoration: none; border-radius: 3px; }
del { background: var(--bad-soft); color: var(--bad); }
ins { background: var(--good-soft); color: var(--good); }
.difference { margin: 0; padding: .7rem 1.25rem; overflow-x: auto; max-height: 40rem; border: 1px solid var(--line); border-radius: var(--radius); background: var(--sunk); line-height: 1.45; }
.difference .place { color: var(--muted); font-weight: 600; }
.planned > .difference { border: 0; border-top: 1px solid var(--line); border-radius: 0; }
.panel > h3 { margin: 0 0 .4rem; font-size: 1rem; overflow-wrap: anywhere; }
.panel > h4 { margin: .5rem 0 .2rem; font-size: .9rem; color: var(--muted); }
.panel > h4 + ul { margin: 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.agree { margin: 1.2rem 0; }
.agree p { display: grid; gap: .25rem; max-width: 34rem; }
`;
