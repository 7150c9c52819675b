/** The one stylesheet of the pages. System fonts, two colour schemes, one column from 320 px up. */
export const stylesheet = `
:root {
  color-scheme: light dark;
  --paper: #f4f3ef;
  --card: #ffffff;
  --ink: #1c2426;
  --quiet: #586367;
  --line: #dcdad2;
  --field: #ffffff;
  --field-line: #8b9497;
  --accent: #14594c;
  --accent-strong: #0d4439;
  --on-accent: #ffffff;
  --wash: #f0f3ef;
  --bad: #a3271c;
  --bad-wash: #fcf0ee;
  --good: #14594c;
  --shadow: 0 1px 2px rgb(28 36 38 / 6%), 0 12px 32px -12px rgb(28 36 38 / 14%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121718;
    --card: #1a2123;
    --ink: #e9ecea;
    --quiet: #a3aeb0;
    --line: #2e383b;
    --field: #12181a;
    --field-line: #6d7a7d;
    --accent: #86cfbd;
    --accent-strong: #a5e0d0;
    --on-accent: #0c1f1a;
    --wash: #141b1d;
    --bad: #ff9c8f;
    --bad-wash: #2f1d1b;
    --good: #86cfbd;
    --shadow: none;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0;
  min-height: 100vh;
  min-height: 100svh;
  display: flex;
  flex-direction: column;
  align-items: center;
  padding: clamp(1rem, 5vw, 3.5rem) 1rem 1.5rem;
  background: var(--paper);
  color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
header, main, footer { width: 100%; max-width: 31rem; }
header { display: flex; align-items: center; gap: 0.625rem; margin-bottom: 1.25rem; }
header svg { flex: none; width: 1.75rem; height: 1.75rem; color: var(--accent); }
.brand { font-weight: 650; letter-spacing: -0.01em; color: inherit; text-decoration: none; }
.cluster { color: var(--quiet); overflow-wrap: anywhere; min-width: 0; }
.cluster::before { content: "/"; margin-right: 0.625rem; color: var(--line); }
main {
  background: var(--card);
  border: 1px solid var(--line);
  border-radius: 0.875rem;
  box-shadow: var(--shadow);
  padding: clamp(1.25rem, 5vw, 2.25rem);
}
footer { margin-top: 1.25rem; color: var(--quiet); font-size: 0.875rem; }
h1 { margin: 0 0 0.5rem; font-size: 1.5rem; line-height: 1.25; letter-spacing: -0.015em; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 2rem 0 0.5rem; font-size: 1.0625rem; line-height: 1.35; font-weight: 650; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
.lede { color: var(--quiet); }
main > :last-child, section > :last-child { margin-bottom: 0; }
a { color: var(--accent); text-underline-offset: 0.15em; }
a:hover { color: var(--accent-strong); }
code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; }
code { font-size: 0.9375em; overflow-wrap: anywhere; }
pre {
  margin: 0 0 1rem;
  padding: 0.75rem 0.875rem;
  background: var(--wash);
  border: 1px solid var(--line);
  border-radius: 0.5rem;
  font-size: 0.875rem;
  line-height: 1.5;
  white-space: pre-wrap;
  overflow-wrap: anywhere;
}
pre code span { display: inline-block; max-width: 100%; }
pre code { font-size: inherit; -webkit-user-select: all; user-select: all; }
form { margin: 1.5rem 0 0; }
fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
fieldset + fieldset { margin-top: 1.75rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
legend { padding: 0; font-weight: 650; font-size: 1.0625rem; float: left; width: 100%; margin-bottom: 0.75rem; }
legend + * { clear: both; }
.field { margin: 0 0 1.125rem; }
.field:last-child { margin-bottom: 0; }
label { display: block; margin-bottom: 0.3125rem; font-weight: 550; }
input {
  display: block;
  width: 100%;
  min-height: 2.75rem;
  padding: 0.5rem 0.75rem;
  font: inherit;
  color: var(--ink);
  background: var(--field);
  border: 1px solid var(--field-line);
  border-radius: 0.5rem;
}
input[readonly] { background: var(--wash); border-color: var(--line); color: var(--quiet); }
input.code { max-width: 11rem; font-size: 1.25rem; letter-spacing: 0.2em; font-variant-numeric: tabular-nums; }
input[aria-invalid="true"] { border-color: var(--bad); box-shadow: inset 0 0 0 1px var(--bad); }
:focus { outline: none; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 0.25rem; }
input:focus-visible, button:focus-visible { border-radius: 0.5rem; }
.hint { margin: 0.3125rem 0 0; color: var(--quiet); font-size: 0.875rem; }
.error { margin: 0.3125rem 0 0; color: var(--bad); font-size: 0.9375rem; font-weight: 550; }
.notice {
  margin: 1.25rem 0 0;
  padding: 0.75rem 0.875rem;
  border: 1px solid var(--bad);
  border-radius: 0.5rem;
  background: var(--bad-wash);
}
.notice p { margin: 0; }
button {
  display: block;
  width: 100%;
  min-height: 3rem;
  margin-top: 1.75rem;
  padding: 0.625rem 1rem;
  font: inherit;
  font-weight: 600;
  color: var(--on-accent);
  background: var(--accent);
  border: 1px solid transparent;
  border-radius: 0.5rem;
  cursor: pointer;
}
button:hover { background: var(--accent-strong); }
.pair { display: flex; gap: 1.25rem; align-items: flex-start; margin-bottom: 1.25rem; }
.pair > :not(.qr) { min-width: 0; flex: 1; }
.pair p { margin-bottom: 0.625rem; }
.qr { flex: none; width: 11rem; height: 11rem; padding: 0.5rem; background: #ffffff; border: 1px solid var(--line); border-radius: 0.5rem; }
.qr svg { display: block; width: 100%; height: 100%; }
.secret { display: block; -webkit-user-select: all; user-select: all; line-height: 1.7; }
.secret span { display: inline-block; margin-right: 0.5em; }
.tick { display: block; width: 2.75rem; height: 2.75rem; margin: 0 0 0.875rem; color: var(--good); }
dl { margin: 0; }
dt { font-weight: 550; }
dd { margin: 0 0 0.875rem; color: var(--quiet); font-size: 0.875rem; }
@media (max-width: 30rem) {
  .pair { flex-direction: column; align-items: stretch; }
  .qr { align-self: center; width: 13rem; height: 13rem; }
}
@media print { body { background: none; } main { box-shadow: none; } }
@media (forced-colors: active) { button { border-color: ButtonText; } .qr { forced-color-adjust: none; } }
`
