/** Logging in, the account, and one-time links. */
export const accountStyle = `
.login .edit button, .login .fold button, .login .or .button { width: 100%; text-align: center; }
.login .fold form { margin: 0 0 1rem; }
.login > form:not(.edit) button { width: auto; margin-bottom: 1rem; }
.or { max-width: none; }
.otp { font-family: var(--mono); font-size: 1.15rem; letter-spacing: .08em; }
.qr { display: block; width: min(15rem, 100%); height: auto; margin: .8rem 0; border-radius: 6px; border: 1px solid var(--line); }
.login .steps, .steps { padding-left: 1.3rem; margin: 0; color: inherit; font-size: 1rem; }
.steps > li { margin-bottom: 1rem; }
.steps .secret { overflow-wrap: anywhere; user-select: all; }
.done { background: var(--good-soft); color: var(--good); border-radius: var(--radius); padding: .6rem 1rem; max-width: none; }
.account { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.25rem; align-items: start; }
.account .panel { margin: 0; min-width: 0; }
.account .whole { grid-column: 1 / -1; }
.edit + p { margin-top: 1.2rem; }
.account summary { cursor: pointer; padding: .3rem 0; font-weight: 600; }
.sessions { list-style: none; margin: 0 0 1rem; padding: 0; }
.sessions li { display: flex; gap: 1rem; justify-content: space-between; align-items: flex-start; padding: .7rem 0; overflow-wrap: anywhere; }
.sessions li + li { border-top: 1px solid var(--line); }
.sessions .muted { font-size: .9rem; }
.codes { list-style: none; margin: .8rem 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: .5rem; }
.codes code { display: block; font-size: 1.05rem; background: var(--panel); border: 1px solid var(--warn); border-radius: 6px; padding: .4rem .8rem; }
.once p + p { margin-top: .6rem; }
.acts { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
.acts form { margin: 0; max-width: 18rem; }
.acts .help { margin: .3rem 0 0; }
`;
