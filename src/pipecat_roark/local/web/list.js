"use strict";
// The list of calls.
(() => {
  const { html, useEffect, useState } = htmPreact;
  const { format, source } = roark;

  /** What became of a call, in two or three words. */
  const verdict = ({ state, complete, problem_count: problems }) => {
    if (state === "live") return ["live", "Live"];
    if (problems) return ["bad", format.count(problems, "problem")];
    if (complete) return ["good", "Whole"];
    return ["open", "No end came"];
  };

  const Verdict = ({ call }) => {
    const [kind, words] = verdict(call);
    return html`<span class="chip ${kind}">${words}</span>`;
  };

  const place = (call) => `#/call/${encodeURIComponent(call.name)}`;

  const Row = ({ call }) => html`
    <li>
      <a class="row" href=${place(call)}>
        <span class="who">
          <strong>${call.agent ?? "Unknown agent"}</strong>
          <span class="id">${call.id}</span>
        </span>
        <span class="facts">
          <span>${format.moment(call.started_at)}</span>
          ${call.length_ms !== null && html`<span>${format.length(call.length_ms)}</span>`}
          ${call.state === "ended" && html`<span>${format.count(call.turns, "turn")}</span>`}
        </span>
        <${Verdict} call=${call} />
      </a>
    </li>`;

  const Empty = () => html`
    <div class="card empty">
      <h2>No calls yet</h2>
      <p>Start your bot with this in its environment, and call it:</p>
      <pre>ROARK_BASE_URL=${location.origin}${"\n"}ROARK_API_KEY=anything</pre>
    </div>`;

  /** j, k and the arrows move through the list; Enter opens a call. */
  const move = (event) => {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (!step || event.metaKey || event.ctrlKey || event.altKey) return;
    const rows = [...document.querySelectorAll("a.row")];
    const at = rows.indexOf(document.activeElement);
    rows[Math.min(Math.max(at < 0 ? 0 : at + step, 0), rows.length - 1)]?.focus();
    event.preventDefault();
  };

  const List = () => {
    const [calls, setCalls] = useState(null);
    useEffect(() => {
      document.title = "Calls · local Roark";
      let isShown = true;
      const load = () =>
        source.calls().then((found) => isShown && setCalls(found), () => {});
      const stop = source.follow(load);
      load();
      document.addEventListener("keydown", move);
      return () => {
        isShown = false;
        stop();
        document.removeEventListener("keydown", move);
      };
    }, []);
    return html`
      <main>
        <h1>Calls</h1>
        ${calls?.length > 0 && html`<p class="hint">Bots with <code>ROARK_BASE_URL=${location.origin}</code> send theirs here.</p>`}
        ${calls?.length === 0 && html`<${Empty} />`}
        ${calls && html`<ul class="list">${calls.map((call) => html`<${Row} key=${call.name} call=${call} />`)}</ul>`}
      </main>`;
  };

  Object.assign(window.roark, { List, Verdict });
})();
