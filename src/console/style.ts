// The one style sheet of the console. Follows the light or dark of the system and the text size of the reader; tables become
// cards where there is no room for them. In a source file, so that the built program is one file.

export const styleSheet = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f4f5f8, #13151a);
  --card: light-dark(#ffffff, #1c1f26);
  --raised: light-dark(#f7f8fb, #232730);
  --text: light-dark(#191c24, #e8eaef);
  --faint: light-dark(#575e6c, #a5acb9);
  --line: light-dark(#dcdfe6, #353a45);
  --edge: light-dark(#7b8290, #8b92a0);
  --accent: light-dark(#1f4fd1, #8fb0ff);
  --on-accent: light-dark(#ffffff, #0d1117);
  --bad: light-dark(#a01b1b, #ffb4ab);
  --bad-ground: light-dark(#fdecea, #3b1d1b);
  --good: light-dark(#14602f, #a5e3ba);
  --good-ground: light-dark(#e7f6ec, #16301f);
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; min-height: 100vh; background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--accent); text-underline-offset: 0.15em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -100rem; padding: 0.6rem 1rem; background: var(--accent); color: var(--on-accent); z-index: 1; }
.skip:focus { left: 0.5rem; top: 0.5rem; }

.top { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 1.5rem; padding: 0.5rem clamp(1rem, 3vw, 2rem);
  background: var(--card); border-bottom: 1px solid var(--line); }
.brand { font-weight: 700; font-size: 1.1rem; color: var(--text); text-decoration: none; padding: 0.4rem 0; }
nav { display: flex; flex-wrap: wrap; gap: 0 0.1rem; }
nav a { padding: 0.5rem 0.55rem; border-radius: 0.4rem; color: var(--faint); font-weight: 600; text-decoration: none; }
nav a:hover { color: var(--text); background: var(--raised); }
nav a[aria-current] { color: var(--text); background: var(--raised); box-shadow: inset 0 -2px var(--accent); }
.who { display: flex; align-items: center; gap: 1rem; margin-left: auto; }
.who .name { color: var(--faint); overflow-wrap: anywhere; }

main { overflow-wrap: break-word; width: min(100% - 2rem, 38rem); margin: clamp(1rem, 5vh, 3rem) auto 3rem; padding: clamp(1.1rem, 4vw, 2rem);
  background: var(--card); border: 1px solid var(--line); border-radius: 0.9rem; }
main.wide { width: min(100% - 2rem, 76rem); margin-top: clamp(1rem, 3vh, 2rem); }
h1 { margin: 0 0 1rem; font-size: 1.55rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 0.6rem; font-size: 1.15rem; line-height: 1.3; }
h3 { margin: 0 0 0.3rem; font-size: 1rem; }
p { margin: 0 0 1rem; }
.back { margin-bottom: 0.35rem; }
.back a::before { content: "‹ "; }
main > :last-child, section > :last-child, form > :last-child { margin-bottom: 0; }
.faint, .nothing { color: var(--faint); }
.nothing { padding: 1rem; border: 1px dashed var(--line); border-radius: 0.5rem; }

label, legend { font-weight: 600; }
label { display: block; margin-bottom: 0.3rem; }
input, select, textarea { width: 100%; margin: 0 0 1rem; padding: 0.6rem 0.75rem; background: var(--card); border: 1px solid var(--edge);
  border-radius: 0.5rem; color: inherit; font: inherit; }
input[type="hidden"] { display: none; }
input[type="checkbox"], input[type="radio"] { width: 1.2rem; height: 1.2rem; margin: 0.15rem 0.6rem 0 0; flex: none; accent-color: var(--accent); }
.tick { display: flex; align-items: flex-start; font-weight: 400; margin-bottom: 0.9rem; }
input[aria-invalid] { border-color: var(--bad); border-width: 2px; }
.code { font: 1.3rem ui-monospace, monospace; letter-spacing: 0.1em; }
fieldset { margin: 0 0 1rem; padding: 1rem 1.1rem; border: 1px solid var(--line); border-radius: 0.6rem; min-width: 0; }
legend { padding: 0 0.4rem; }

button, .button, a.primary { display: inline-block; padding: 0.6rem 1.1rem; border: 1px solid var(--edge); border-radius: 0.5rem;
  background: var(--card); color: var(--text); font: inherit; font-weight: 600; text-decoration: none; text-align: center; cursor: pointer; }
button:hover, .button:hover { background: var(--raised); }
button.primary, a.primary { background: var(--accent); border-color: transparent; color: var(--on-accent); }
button.primary:hover, a.primary:hover { background: var(--accent); filter: brightness(1.08); }
button.danger { background: none; border-color: var(--bad); color: var(--bad); }
button.danger:hover { background: var(--bad-ground); }
button.quiet { border-color: transparent; background: none; color: var(--faint); padding-inline: 0.5rem; }
button.link { border: 0; padding: 0; background: none; color: var(--accent); font-weight: 400; text-decoration: underline; text-underline-offset: 0.15em; }
main:not(.wide) > form > button.primary, main:not(.wide) > form > p + button.primary { width: 100%; }
.links { margin-top: 1.25rem; }
.links p { margin-bottom: 0.5rem; }

.problem, .notice { padding: 0.75rem 0.95rem; border-radius: 0.5rem; }
.problem { background: var(--bad-ground); color: var(--bad); }
.notice { background: var(--good-ground); color: var(--good); }
.tag { display: inline-block; padding: 0.05rem 0.55rem; border: 1px solid var(--line); border-radius: 1rem; font-size: 0.875rem; font-weight: 600; white-space: nowrap; }
.tag.good { background: var(--good-ground); color: var(--good); border-color: transparent; }
.tag.bad { background: var(--bad-ground); color: var(--bad); border-color: transparent; }
.tag.faint { color: var(--faint); }

.held { margin-bottom: 1.5rem; }
.facts { margin: 0 0 1rem; }
.facts > div { display: grid; grid-template-columns: minmax(8rem, 13rem) 1fr; gap: 0.25rem 1rem; padding: 0.5rem 0; border-bottom: 1px solid var(--line); }
.facts > div:last-child { border-bottom: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
.answer { padding: 1rem 1.1rem; margin: 0 0 1rem; background: var(--raised); border-left: 4px solid var(--edge); border-radius: 0.3rem; }
.answer.good { border-color: var(--good); }
.answer.bad { border-color: var(--bad); }
.answer p { margin: 0; }

.filters { display: flex; flex-wrap: wrap; align-items: end; gap: 0.75rem; margin-bottom: 1.25rem; }
.filters > div { flex: 1 1 7.5rem; }
.filters > .search { flex: 2 1 12rem; }
.filters input, .filters select { margin: 0; height: 2.85rem; }
.filters button { height: 2.85rem; }
.filters + form { margin-bottom: 1rem; }
.acts { display: flex; flex-wrap: wrap; gap: 0.75rem; margin-bottom: 1rem; align-items: center; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2.5rem; align-items: start; }

table { width: 100%; border-collapse: collapse; margin-bottom: 1rem; }
caption { text-align: left; color: var(--faint); padding-bottom: 0.4rem; }
th, td { padding: 0.55rem 0.75rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
/* A name of 200 letters must not leave the other columns one letter each. */
td { min-width: 4.5rem; max-width: 26rem; }
td button, td summary { white-space: nowrap; }
th { font-size: 0.875rem; color: var(--faint); border-bottom-color: var(--edge); overflow-wrap: normal; }
th:first-child, td:first-child { padding-left: 0; }
tbody tr:hover { background: var(--raised); }
.number { text-align: right; font-variant-numeric: tabular-nums; }
time { white-space: nowrap; }
.chart { display: block; width: 100%; max-width: 46rem; height: auto; margin-bottom: 0.5rem; }
.chart .line { fill: none; stroke: var(--accent); stroke-width: 2.5; }
.chart .area { fill: var(--accent); opacity: 0.14; }
.chart .axis { stroke: var(--line); }
.chart .bar { fill: var(--accent); }
.chart .bar.bad { fill: var(--bad); }
.chart text { fill: var(--faint); font: 12px system-ui, sans-serif; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 0.75rem; margin: 0 0 1.25rem; padding: 0; list-style: none; }
.figures li { padding: 0.8rem 1rem; background: var(--raised); border-radius: 0.6rem; }
.figures strong { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }

details { border-top: 1px solid var(--line); }
details:last-of-type { border-bottom: 1px solid var(--line); margin-bottom: 1rem; }
summary { padding: 0.75rem 0; color: var(--accent); font-weight: 600; cursor: pointer; }
details > form, details > div { padding: 0 0 1.1rem; }
td details, td details:last-of-type { border: 0; margin: 0; }
td summary { padding: 0; font-weight: 400; }
td details > div { padding: 0.3rem 0 0; }
.panel { margin: 2rem 0 0; padding: 1.1rem 1.25rem; background: var(--raised); border-radius: 0.7rem; }
.panel h2 { margin-top: 0; }
.panel h3 { margin: 1.5rem 0 0.5rem; }
.panel h2 + h3 { margin-top: 0; }
.panel form + form { margin-top: 0.75rem; }
.steps { margin: 0; padding-left: 1.3rem; }
.steps > li::marker { font-weight: 700; font-size: 1.15rem; }
.steps > li > h2:first-child { margin-top: 0; }
.steps > li + li { margin-top: 1.75rem; }
.ways { display: grid; gap: 1.25rem; margin-bottom: 1.25rem; }
.qr { display: block; max-width: 100%; height: auto; padding: 0.5rem; background: #ffffff; border-radius: 0.5rem; }
.secret { font-size: 1.05rem; overflow-wrap: break-word; }
code { font-family: ui-monospace, monospace; }
.codes { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 0.4rem 1rem; margin: 0 0 1.25rem; padding: 0.9rem 1rem;
  border: 1px dashed var(--edge); border-radius: 0.5rem; list-style: none; font-size: 1.05rem; }
.copy { font-family: ui-monospace, monospace; resize: vertical; }
.noprint form { margin-bottom: 1rem; }
.pass { display: block; padding: 1rem; margin: 0 0 1rem; border: 1px dashed var(--edge); border-radius: 0.5rem; font: 600 1.4rem ui-monospace, monospace;
  letter-spacing: 0.05em; text-align: center; overflow-wrap: anywhere; }

@media (min-width: 40rem) {
  .ways .here { order: 1; }
}
@media (min-width: 64rem) {
  td { min-width: 6.5rem; }
}
@media (min-width: 56rem) {
  .columns > .panel { order: 1; }
}
@media (max-width: 56rem) {
  .columns > .panel { margin-top: 0.5rem; }
}
@media (max-width: 42rem) {
  /* The name and the way out beside the brand, the places below: two or three lines, and not five. */
  .who { min-width: 0; flex: 1; justify-content: flex-end; }
  .who .name { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
  .who button { white-space: nowrap; }
  nav { order: 1; width: 100%; margin-inline: -0.55rem; }
  body { background: var(--card); }
  main, main.wide { width: 100%; margin: 0; border: 0; border-radius: 0; }
  .facts > div { grid-template-columns: 1fr; gap: 0; }
  table, tbody, tr, td { display: block; width: 100%; }
  caption { display: block; }
  thead { position: absolute; left: -100rem; }
  tr { padding: 0.6rem 0; border-bottom: 1px solid var(--line); }
  td, td.number { padding: 0.1rem 0; border: 0; text-align: left; max-width: none; }
  td:first-child { font-weight: 600; }
  td:not(:first-child)::before { content: attr(data-name) ": "; color: var(--faint); }
  td:empty, td:has(details, button)::before { display: none; }
  .chart text { font-size: 18px; }
  button.primary, a.primary { width: 100%; }
}
@media (prefers-reduced-motion: no-preference) { button, nav a { transition: background-color 0.15s; } }
@media (forced-colors: active) { .tag, .answer { border: 1px solid; } }
@media print {
  .top, .skip, .noprint, .notice, .back, a.primary, button { display: none; }
  body, main { background: #ffffff; color: #000000; border: 0; }
}
`;
