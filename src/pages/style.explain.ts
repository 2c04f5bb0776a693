/** Where values come from. */
export const explainStyle = `
.origins { margin: 0 0 1.8rem; }
.origin { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); margin-bottom: .35rem; padding: 0 1rem; }
.origin[open] { padding-bottom: .8rem; }
.origin > summary { padding: .45rem 0; cursor: pointer; display: flex; flex-wrap: wrap; gap: .15rem .8rem; align-items: baseline; list-style: none; }
.origin > summary::-webkit-details-marker { display: none; }
.origin > summary::before { content: "▸" / ""; color: var(--muted); }
.origin[open] > summary::before { content: "▾" / ""; }
.origin > summary > * { min-width: 0; overflow-wrap: anywhere; }
.origin > summary > b { font-weight: 600; }
.origin p { margin: .35rem 0; max-width: none; overflow-wrap: anywhere; }
.origin .json { max-height: 40rem; margin: .35rem 0; background: var(--sunk); border-radius: 6px; padding: .5rem .75rem; }
.winner { display: inline-flex; flex-wrap: wrap; gap: .25rem; margin-left: auto; }
.nobreak { white-space: nowrap; }
.tag.from { background: var(--good-soft); border-color: transparent; color: var(--good); font-weight: 600; }
.below { margin: 0 0 .6rem 1.5rem; }
.looked { margin: .4rem 0; padding-left: 1.6rem; }
.looked > li { padding: .3rem 0; overflow-wrap: anywhere; }
.looked > li + li { border-top: 1px solid var(--line); }
.looked > li::marker { color: var(--muted); font-variant-numeric: tabular-nums; }
.told { display: block; quotes: none; padding-left: .7rem; border-left: 3px solid var(--line); overflow-wrap: anywhere; }
@media (max-width: 45rem) {
  .below { margin-left: .75rem; }
  .winner { margin-left: 1.1rem; flex-basis: 100%; }
}
`;
