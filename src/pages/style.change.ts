/** Changes, histories and differences. */
export const changeStyle = `
.row-change { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); margin-bottom: .7rem; overflow: hidden; }
.row-change > h3 { display: flex; flex-wrap: wrap; gap: .3rem .7rem; align-items: baseline; margin: 0; padding: .55rem 1.25rem; background: var(--sunk); color: var(--text); overflow-wrap: anywhere; }
.row-change > h3 .muted { font-weight: 400; }
.row-change > h3 a:last-child { margin-left: auto; font-weight: 400; font-size: .875rem; }
.row-change td, .row-change th { overflow-wrap: anywhere; }
.row-change th[scope="row"] { font-weight: 400; color: var(--muted); width: 12rem; }
.row-change > p { padding: .55rem 1.25rem; margin: 0; }
.row-change .table { border: 0; border-radius: 0; }
.row-change .json { max-height: 12rem; }
.was { color: var(--bad); }
.is { color: var(--good); }
.said { font-size: 1.1rem; overflow-wrap: anywhere; }
.names { list-style: none; margin: 0; padding: 0; }
.names li { overflow-wrap: anywhere; }
.quiet-filters { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; }
.confirm textarea, .confirm input[type="text"] { width: 100%; }
@media (max-width: 60rem) {
  .row-change th[scope="row"] { width: auto; }
}
`;
