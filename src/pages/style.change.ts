/** Changes, histories and differences. */
export const changeStyle = `
.row-change { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); margin-bottom: .7rem; overflow: hidden; }
.row-change > h3 { display: flex; flex-wrap: wrap; gap: .3rem .7rem; align-items: baseline; margin: 0; padding: .55rem 1.25rem; background: var(--sunk); color: var(--text); overflow-wrap: anywhere; }
.row-change > h3 .muted { font-weight: 400; }
.row-change > h3 a:last-child { margin-left: auto; font-weight: 400; font-size: .875rem; }
.row-change + section, section:has(> .row-change) + section { margin-top: 1.5rem; }
.row-change td, .row-change th { overflow-wrap: anywhere; }
.row-change th[scope="row"] { font-weight: 400; color: var(--muted); width: 12rem; }
.row-change > p { padding: .55rem 1.25rem; margin: 0; }
.row-change .table { border: 0; border-radius: 0; }
.row-change .json { max-height: 12rem; }
.row-change tbody tr + tr th { border-top: 1px solid var(--line); }
.row-change details > summary { cursor: pointer; padding: .55rem 1.25rem; }
.actor { overflow-wrap: break-word; }
.about { min-width: 17rem; }
.pair { display: flex; flex-wrap: wrap; gap: .5rem; margin: 0; }
.was { color: var(--bad); }
.is { color: var(--good); }
.said { font-size: 1.1rem; overflow-wrap: anywhere; }
.names { list-style: none; margin: 0; padding: 0; }
.names li { overflow-wrap: anywhere; }
.confirm textarea, .confirm input[type="text"] { width: 100%; }
@media (max-width: 60rem) {
  .row-change th[scope="row"] { display: block; width: auto; padding: .4rem .9rem .1rem; border: 0 !important; color: var(--text); font-weight: 600; }
  .row-change .table tbody tr { border-radius: 0; border-width: 1px 0 0; margin: 0; padding: 0 .35rem .4rem; }
  .row-change .table td { padding-left: .9rem; }
  .row-change .table td:has(> .json) { display: block; }
  .about { min-width: 0; }
}
`;
