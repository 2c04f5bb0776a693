/** Tables, things, documents and the API reference. */
export const contentStyle = `
.badge { display: inline-block; font-size: .8125rem; font-weight: 600; line-height: 1.3; padding: .1rem .55rem; border-radius: 99px; background: var(--off-soft); color: var(--off); vertical-align: middle; white-space: nowrap; letter-spacing: 0; }
.badge::before { content: "" / ""; display: inline-block; width: .5em; height: .5em; border-radius: 50%; background: currentColor; margin-right: .4em; vertical-align: .08em; }
.badge.good { background: var(--good-soft); color: var(--good); }
.badge.warn { background: var(--warn-soft); color: var(--warn); }
.badge.bad { background: var(--bad-soft); color: var(--bad); }
.tags { display: inline-flex; flex-wrap: wrap; gap: .25rem; }
.tag { font-size: .8125rem; padding: .05rem .45rem; border-radius: 5px; background: var(--sunk); border: 1px solid var(--line); overflow-wrap: anywhere; }
.table .tag { overflow-wrap: break-word; }
.long { overflow-wrap: anywhere; }
.load { white-space: nowrap; font-variant-numeric: tabular-nums; }
meter { width: 4rem; height: .8rem; vertical-align: -.05rem; }
data { font-variant-numeric: tabular-nums; white-space: nowrap; }

.table { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); overflow-x: auto; position: relative; }
table { border-collapse: collapse; width: 100%; font-size: .925rem; }
th, td { text-align: left; padding: .5rem .75rem; vertical-align: top; }
.table th:first-child, .table td:first-child { padding-left: 1.25rem; }
.table thead th { font-weight: 600; color: var(--muted); background: var(--sunk); border-bottom: 1px solid var(--line); white-space: nowrap; }
.table thead th a { color: inherit; text-decoration: none; }
.table thead th a:hover { text-decoration: underline; }
th[aria-sort] a::after { content: " ↑" / ""; color: var(--accent); }
th[aria-sort="descending"] a::after { content: " ↓" / ""; }
.table tbody tr + tr td { border-top: 1px solid var(--line); }
.table tbody tr:hover td { background: color-mix(in srgb, var(--sunk) 55%, transparent); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.first { font-weight: 600; overflow-wrap: anywhere; min-width: 8.5rem; }
.sorting { display: none; margin-bottom: .6rem; font-size: .925rem; }
.sorting summary { cursor: pointer; }
.sorting ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .5rem 1.1rem; margin: .6rem 0; }
.empty { background: var(--panel); border: 1px dashed var(--strong-line); border-radius: var(--radius); padding: 1.5rem 1.25rem; }
.empty > :last-child { margin-bottom: 0; }
p.empty { max-width: none; }

.fields, .fixed { margin: 0; }
.fields > div, .fixed > div { display: grid; grid-template-columns: minmax(8rem, 11rem) minmax(0, 1.2fr) minmax(0, 1fr); gap: .15rem 1.25rem; padding: .45rem 0; }
.fields > div + div, .fixed > div + div { border-top: 1px solid var(--line); }
.fields dt, .fixed dt, .facts dt { color: var(--muted); }
.fields dd, .fixed dd, .facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.help { font-size: .8438rem; color: var(--muted); }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.json { max-height: 20rem; overflow-y: auto; }
.documents { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin: .2rem 0 1.2rem; }
.documents .muted { margin-right: .3rem; }
.documents a { padding: .25rem .75rem; border: 1px solid var(--line); border-radius: 99px; background: var(--panel); text-decoration: none; font-size: .9rem; }
.documents a:hover { border-color: var(--accent); }
.documents a[aria-current] { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
.related { margin: 0 0 1.5rem; }
.related > .head { align-items: center; margin-bottom: .5rem; }
.related h2 { margin: 0; }
.related h2 a, .panel h2 a { color: inherit; }
.related > p { margin: .5rem 0 0; }
.confirm { position: relative; }
.confirm > summary { list-style: none; }
.confirm > summary::-webkit-details-marker { display: none; }
.confirm form { position: absolute; right: 0; top: calc(100% + .4rem); z-index: 1; width: min(22rem, calc(100vw - 2rem)); background: var(--panel); border: 1px solid var(--bad); border-radius: var(--radius); padding: 1rem; box-shadow: 0 6px 24px rgb(0 0 0 / .18); overflow-wrap: anywhere; }
.confirm button { white-space: normal; text-align: left; }
.once { background: var(--warn-soft); border: 2px solid var(--warn); border-radius: var(--radius); padding: 1rem 1.25rem; margin-bottom: 1.25rem; }
.once dd { margin: .2rem 0 .8rem; }
.once .secret { display: block; font-size: 1rem; background: var(--panel); border: 1px solid var(--warn); border-radius: 6px; padding: .6rem .8rem; overflow-wrap: anywhere; user-select: all; }
.once p { margin: 0; }

.areas { columns: 2 22rem; column-gap: 2rem; margin-bottom: 1rem; }
.areas section { break-inside: avoid; margin-bottom: 1.3rem; }
.areas h2 { font-size: .95rem; color: var(--muted); font-weight: 600; margin-bottom: .4rem; }
.cards { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .6rem; }
.card { display: block; height: 100%; padding: .65rem .9rem; background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); text-decoration: none; color: var(--text); }
.card:hover { border-color: var(--accent); background: var(--accent-soft); }
.card b { display: block; font-size: 1.5rem; line-height: 1.15; font-variant-numeric: tabular-nums; color: var(--accent); }
.card span { font-size: .9rem; }
.why { border-left: 3px solid var(--warn); padding-left: .7rem; max-width: none; overflow-wrap: anywhere; }
.changes { margin: 0; padding-left: 1.1rem; }
.log { list-style: none; margin: 0; padding: .6rem 1rem; background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); font-size: .875rem; }
.log li { overflow-wrap: anywhere; white-space: pre-wrap; padding: .15rem 0 .15rem .6rem; border-left: 3px solid transparent; }
.log .bad { border-color: var(--bad); }
.log .warn { border-color: var(--warn); }
.steps { padding-left: 1.4rem; margin: 0; }
.steps .help { margin: 0 0 .4rem; }
.steps .done::marker { content: "✓ "; color: var(--good); }
.commands, .yaml { background: var(--sunk); border: 1px solid var(--line); border-radius: var(--radius); padding: .75rem 1rem; line-height: 1.55; }
.commands { margin-bottom: 1rem; user-select: all; }
.yaml { background: var(--panel); }
.panel > details { margin-top: .6rem; }
.panel > details > summary { cursor: pointer; font-weight: 600; }
.yaml i { font-style: normal; color: var(--muted); }
.yaml b { font-weight: 600; color: var(--accent); }
.facts { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .3rem 1.25rem; margin: 0 0 1rem; }
.facts > div { display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; }
.status { color: var(--muted); font-family: var(--mono); margin-bottom: .3rem; }
.detail { font-size: 1.1rem; overflow-wrap: anywhere; }
.faults li { overflow-wrap: anywhere; }

h3 { font-size: .95rem; margin: 1rem 0 .4rem; color: var(--muted); }
.toc ul { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin: 0 0 1.5rem; }
.operation { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); margin-bottom: .4rem; padding: 0 1rem; content-visibility: auto; contain-intrinsic-size: auto 2.7rem; }
.operation[open] { padding-bottom: 1rem; }
.operation summary { padding: .5rem 0; cursor: pointer; display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: baseline; }
.operation summary code { overflow-wrap: anywhere; min-width: 0; }
.operation summary span:last-child { color: var(--muted); font-size: .9rem; }
.operation summary::before { content: "▸" / ""; color: var(--muted); }
.operation[open] summary::before { content: "▾" / ""; }
.verb { font: 700 .75rem/1.5 var(--mono); min-width: 4rem; text-align: center; padding: 0 .4rem; border-radius: 5px; background: var(--off-soft); color: var(--off); }
.verb.get { background: var(--accent-soft); color: var(--accent); }
.verb.post { background: var(--good-soft); color: var(--good); }
.verb.put, .verb.patch { background: var(--warn-soft); color: var(--warn); }
.verb.delete { background: var(--bad-soft); color: var(--bad); }
section:has(> .operation) { margin-bottom: 1.8rem; }
.schema { margin-bottom: 1rem; font-size: .875rem; }
.schema caption { text-align: left; font-weight: 600; padding: .3rem 0; }
.schema th, .schema td { padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; font-weight: 400; }
.schema thead th { color: var(--muted); border-top: 0; }
.schema th:first-child { width: 15rem; }
.schema th:nth-child(2):not(:last-child), .schema td:nth-child(2):not(:last-child) { width: 14rem; }
tr:target { background: var(--warn-soft); }

@media (min-width: 45rem) and (max-width: 80rem) {
  .table th, .table td { padding-inline: .5rem; }
}
@media (max-width: 45rem) {
  .fields > div, .fixed > div { grid-template-columns: minmax(0, 8.5rem) minmax(0, 1fr); }
  .fields .help, .fixed .help, .fields dd:has(> .json) { grid-column: 1 / -1; }
  .actions { justify-content: flex-start; }
  .confirm[open] { flex-basis: 100%; }
  .confirm > summary { width: fit-content; }
  .confirm form { position: static; margin-top: .6rem; width: auto; }
  .sorting { display: block; }
  .table { border: 0; background: none; overflow: visible; }
  .table table, .table tbody, .table td { display: block; width: auto; }
  .table thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .table tr { display: flex; flex-direction: column; background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); padding: .4rem .9rem; margin-bottom: .6rem; }
  .table td, .table td:first-child { display: grid; grid-template-columns: 7.5rem minmax(0, 1fr); gap: .8rem; padding: .22rem 0; border: 0; text-align: left; overflow-wrap: anywhere; }
  .table td > * { justify-self: start; }
  .table td.first { min-width: 0; order: -1; display: block; font-size: 1.05rem; padding-bottom: .35rem; }
  .table td.first::before { content: none; }
  .table tbody tr + tr td { border: 0; }
  .table td::before { content: attr(data-label); color: var(--muted); font-weight: 400; }
  .table td:not(.first):has(> .none:only-child) { display: none; }
  .schema, .schema tbody, .schema tr, .schema th, .schema td { display: block; width: auto !important; }
  .schema thead { display: none; }
  .schema tr { border-top: 1px solid var(--line); padding: .35rem 0; }
  .schema th, .schema td { border: 0; padding: 0; }
}
`;
