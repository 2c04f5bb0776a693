/** Forms, filters and logging in. */
export const formStyle = `
input, select, textarea { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--strong-line); border-radius: 6px; padding: .42rem .6rem; max-width: 100%; }
input::placeholder, textarea::placeholder { color: var(--muted); opacity: .85; }
input[type="checkbox"] { width: 1.15rem; height: 1.15rem; accent-color: var(--accent); margin: 0; flex: none; }
select { padding-right: .3rem; }
input:not([type="checkbox"]), select { min-height: 2.45rem; }
textarea { width: 100%; resize: vertical; min-height: 2.5rem; }
textarea.code { font-size: .875rem; line-height: 1.5; }
fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
.edit { max-width: 44rem; margin-top: 1rem; }
.field { margin: 0 0 1.1rem; padding: 0; }
.field > label, .field > legend { display: block; font-weight: 600; padding: 0; margin-bottom: .2rem; }
.field > input:not([type="checkbox"]), .field > select { width: 100%; }
.field .help, .field .error, .field .hint, .field .now { margin: .25rem 0 0; max-width: none; }
.required { font-weight: 400; font-size: .8125rem; color: var(--muted); }
.error { color: var(--bad); font-weight: 600; font-size: .9rem; }
.error::before { content: "⚠ " / ""; }
.hint, .now { font-size: .875rem; }
.now { background: var(--warn-soft); color: var(--warn); border-radius: 5px; padding: .2rem .5rem; overflow-wrap: anywhere; white-space: pre-wrap; }
.bad > input, .bad > select, .bad > textarea { border-color: var(--bad); box-shadow: 0 0 0 1px var(--bad); }
.field.tick { display: grid; grid-template-columns: auto 1fr; gap: 0 .6rem; align-items: center; }
.field.tick > label { margin: 0; }
.field.tick > p { grid-column: 2; }
.ticks { display: flex; flex-wrap: wrap; gap: .45rem 1.3rem; padding: .2rem 0; }
.tick { display: inline-flex; gap: .5rem; align-items: center; }
.ordered { display: flex; flex-wrap: wrap; gap: .5rem; }
.errors { border: 2px solid var(--bad); background: var(--bad-soft); border-radius: var(--radius); padding: .9rem 1.25rem; margin: .6rem 0 1.4rem; max-width: 44rem; overflow-wrap: anywhere; }
.errors h2 { font-size: 1.05rem; color: var(--bad); margin-bottom: .3rem; }
.errors p, .errors ul { margin: 0; }
.errors ul { padding-left: 1.2rem; }
.errors a { color: inherit; font-weight: 600; }
.group { border: 1px solid var(--line); border-radius: var(--radius); background: var(--panel); padding: .4rem 1.25rem .9rem; margin-bottom: 1.25rem; }
.group.bad { border: 2px solid var(--bad); }
.group > legend { font-weight: 650; padding: 0 .4rem; margin-left: -.4rem; }
.part { padding: .7rem 0 0; }
.part + .part { border-top: 1px solid var(--line); margin-top: .7rem; }
.switch { display: grid; grid-template-columns: auto 1fr; gap: .1rem .6rem; align-items: center; }
.switch label { font-weight: 600; }
.switch p { grid-column: 2; margin: 0; }
.part-fields { margin: .8rem 0 0 1.75rem; }
@supports selector(:has(*)) { .part:not(:has(> .switch input:checked)) > .part-fields { display: none; } }
.fold { border: 1px solid var(--line); border-radius: var(--radius); background: var(--panel); padding: 0 1.25rem; margin-bottom: 1.25rem; }
.fold > summary { padding: .7rem 0; cursor: pointer; font-weight: 600; }
.fold[open] > summary { margin-bottom: .5rem; }
.fold .fold { background: var(--page); }
.fixed { background: var(--sunk); border-radius: var(--radius); padding: .3rem 1.25rem; margin-bottom: 1.25rem; }
.submit { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: center; margin-top: 1.5rem; }

.filters button { min-height: 2.45rem; }
.filters { display: block; margin-bottom: 1rem; }
.filters form { display: flex; flex-wrap: wrap; gap: .6rem; align-items: flex-end; margin: 0; }
.filter { flex: 1 1 10rem; max-width: 18rem; min-width: 0; }
.filter label { display: block; font-size: .8438rem; color: var(--muted); margin-bottom: .1rem; }
.filter input, .filter select { width: 100%; }
.more { flex: 0 1 auto; }
.more > summary { cursor: pointer; padding: .5rem .3rem; }
.more[open] { flex: 1 1 100%; }
.more-fields { display: flex; flex-wrap: wrap; gap: .6rem; align-items: flex-end; }
.chips { list-style: none; display: flex; flex-wrap: wrap; gap: .4rem; margin: .7rem 0 0; padding: 0; }
.chips a { display: inline-block; font-size: .875rem; padding: .15rem .7rem; border-radius: 99px; background: var(--accent-soft); color: var(--accent); text-decoration: none; overflow-wrap: anywhere; }
.chips a:hover { text-decoration: underline; }
.chips .clear { background: none; text-decoration: underline; }

.login { max-width: 28rem; margin: 4vh auto 0; }
.login .edit { background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius); padding: 1.25rem; margin: .8rem 0 1.6rem; }
.login button { width: 100%; }
.login h2 { font-size: 1rem; }
.login ul { padding-left: 1.2rem; color: var(--muted); font-size: .925rem; }
@media (max-width: 45rem) {
  input, select, textarea { font-size: 1rem; }
  .part-fields { margin-left: 0; }
  .filter { flex-basis: 100%; max-width: none; }
  .submit button { flex: 1 1 auto; }
}
`;
