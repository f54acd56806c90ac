"use strict";
// One call: its waveforms, its transcript, and what was found.
(() => {
  const { html, useCallback, useEffect, useRef, useState } = htmPreact;
  const { format, source, Player, Transcript, Verdict } = roark;
  const STEP_MS = 5000;
  const MOST_REQUESTS = 300;

  /** The number of the turn that is spoken at a time, or -1. Of two, the later one. */
  const spokenAt = (entries, ms) =>
    entries.findLastIndex(
      ({ kind, start_ms: start, end_ms: end }) =>
        kind === "turn" && start !== null && start <= ms && ms < end,
    );

  /** The place of the next turn (step 1) or the one before (-1). */
  const turnFrom = (entries, ms, step) => {
    const places = entries.flatMap(({ kind, start_ms: start }, number) =>
      kind === "turn" && start !== null ? [{ start, number }] : [],
    );
    return step > 0
      ? places.find(({ start }) => start > ms + 1)
      : places.findLast(({ start }) => start < ms - 300) ?? places[0];
  };

  const Head = ({ call }) => html`
    <header class="head">
      <h1>${call.agent ?? "Unknown agent"}</h1>
      <${Verdict} call=${call} />
      <dl class="facts">
        <div><dt>Call</dt><dd class="id">${call.id}</dd></div>
        ${call.started_at && html`<div><dt>Began</dt><dd>${format.moment(call.started_at)}</dd></div>`}
        ${call.length_ms !== null && html`<div><dt>Length</dt><dd>${format.length(call.length_ms)}</dd></div>`}
        ${call.reason && html`<div><dt>Ended by</dt><dd>${call.reason}</dd></div>`}
      </dl>
    </header>`;

  /** The waveforms with their controls. `hold` gets the player. */
  const Listen = ({ call, hold, onTime }) => {
    const canvas = useRef();
    const axis = useRef();
    const clock = useRef();
    const player = useRef();
    const [isPlaying, setPlaying] = useState(false);
    useEffect(() => {
      player.current = new Player(
        canvas.current,
        axis.current,
        (ms) => {
          clock.current.textContent = format.clock(ms);
          canvas.current.setAttribute("aria-valuenow", Math.round(ms / 1000));
          canvas.current.setAttribute("aria-valuetext", format.clock(ms));
          onTime(ms);
        },
        setPlaying,
      );
      clock.current.textContent = format.clock(0);
      hold(player.current);
      return () => {
        hold(null);
        player.current.destroy();
      };
    }, []);
    useEffect(() => {
      player.current.show(call);
    }, [call]);
    const { length_ms: length, is_estimate: isEstimate, rate, channels } = call.audio;
    return html`
      <section class="card listen" aria-label="Recording">
        <div class="waves">
          ${channels > 1 && html`<div class="lanes" aria-hidden="true">
            <span class="user">User</span><span class="assistant">Agent</span>
          </div>`}
          <div class="canvas" ref=${canvas} role="slider" tabindex="0" aria-label="Place in the recording"
            aria-valuemin="0" aria-valuemax=${Math.round(length / 1000)} aria-valuenow="0"></div>
          <div class="axis" ref=${axis} aria-hidden="true"></div>
        </div>
        <div class="controls">
          <button type="button" class="play" aria-label=${isPlaying ? "Pause" : "Play"}
            onClick=${() => player.current.toggle()}>${isPlaying ? "❚❚" : "▶"}</button>
          <span class="time"><span ref=${clock}></span> / ${format.clock(length)}</span>
          <span class="hint">${rate} Hz${isEstimate && ", estimated until the call ends"}</span>
          <span class="keys hint"><kbd>space</kbd> plays, <kbd>←</kbd> <kbd>→</kbd> 5 s, <kbd>j</kbd> <kbd>k</kbd> turns</span>
        </div>
      </section>`;
  };

  /** How long the agent took each time; a bar for each answer. */
  const Replies = ({ call, play }) => {
    const answers = call.entries.filter((entry) => typeof entry.response_ms === "number");
    const { median, worst } = call.replies;
    return html`
      <section class="card" aria-labelledby="replies">
        <h2 id="replies">Response time</h2>
        <dl class="figures">
          <div><dt>Median</dt><dd>${format.length(median)}</dd></div>
          <div><dt>Worst</dt><dd>${format.length(worst)}</dd></div>
        </dl>
        <div class="bars" role="group" aria-label="Response time of each answer">
          ${answers.map(({ response_ms: ms, start_ms: start }) => html`
            <button type="button" class=${ms === worst && ms > median ? "worst" : ""} disabled=${start === null || !call.audio}
              title=${format.length(ms)} aria-label="${format.length(ms)}, play the answer"
              style=${{ "--part": Math.max(0.04, ms / Math.max(worst, 1)) }}
              onClick=${() => play(start)}></button>`)}
        </div>
      </section>`;
  };

  const Findings = ({ call }) => html`
    <section class="card" aria-labelledby="verdict">
      <h2 id="verdict">What was checked</h2>
      <ul class="findings">
        ${call.problems.map((text) => html`<li class="bad"><span class="sign" role="img" aria-label="wrong:">✗</span>${text}</li>`)}
        ${call.verified.map((text) => html`<li class="good"><span class="sign" role="img" aria-label="right:">✓</span>${text}</li>`)}
      </ul>
      ${call.findings.length > 0 && html`
        <h3 class="wiring">About the bot's wiring</h3>
        <ul class="findings">
          ${call.findings.map((text) => html`<li class="slow"><span class="sign" role="img" aria-label="look at:">!</span>${text}</li>`)}
        </ul>`}
      ${!call.problems.length && !call.verified.length && html`<p class="hint">A call is checked when it ends.</p>`}
    </section>`;

  const Request = ({ request: { at, method, path, status, size, body } }) => {
    const line = html`
      <span class=${status === 200 ? "status" : "status bad"}>${status}</span>
      <code>${method} ${path}</code>
      <span class="hint">${format.bytes(size)}</span>
      <span class="hint">${at.slice(11, 23)}</span>`;
    if (body === null) return html`<li class="request"><div class="asked">${line}</div></li>`;
    return html`<li class="request"><details><summary class="asked">${line}</summary>
      <pre tabindex="0" aria-label="Body">${format.pretty(body)}</pre></details></li>`;
  };

  const Requests = ({ call }) => {
    const [rows, setRows] = useState(null);
    const load = async ({ target }) => {
      if (!target.open) return;
      const text = await source.requests(call.name).catch(() => "");
      setRows(text.split("\n").filter(Boolean).map((line) => JSON.parse(line)));
    };
    return html`
      <section class="card">
        <details onToggle=${load}>
          <summary><h2>The exact requests</h2></summary>
          <ul class="requests">${rows?.slice(0, MOST_REQUESTS).map((row) => html`<${Request} request=${row} />`)}</ul>
          ${rows?.length > MOST_REQUESTS && html`<p class="hint">${rows.length - MOST_REQUESTS} more are in requests.jsonl.</p>`}
          ${rows?.length === 0 && html`<p class="hint">They were not kept.</p>`}
        </details>
      </section>`;
  };

  /** Space plays, the arrows move by 5 s, j and k by a turn. */
  const steer = (event, player, call) => {
    if (!player || event.metaKey || event.ctrlKey || event.altKey) return;
    const { target, key } = event;
    if (key === " ") {
      if (target.closest("summary, button:not(.line)")) return;
      player.toggle();
    } else if (key === "ArrowLeft" || key === "ArrowRight") {
      if (target.closest("pre")) return;
      player.seek(player.ms + (key === "ArrowLeft" ? -STEP_MS : STEP_MS));
    } else if (key === "j" || key === "k") {
      const turn = turnFrom(call.entries, player.ms, key === "j" ? 1 : -1);
      if (!turn) return;
      player.seek(turn.start);
      document.querySelector(`.line[data-number="${turn.number}"]`)?.focus();
    } else return;
    event.preventDefault();
  };

  /** Loads a call, and again whenever it changes. */
  const useCall = (name) => {
    const [call, setCall] = useState(null);
    useEffect(() => {
      let isShown = true;
      const load = () =>
        source.call(name).then(
          (found) => isShown && setCall(found),
          (error) => isShown && error.message === "404" && setCall(false),
        );
      const stop = source.follow((names) => (names === null || names.includes(name)) && load());
      load();
      return () => {
        isShown = false;
        stop();
      };
    }, [name]);
    return call;
  };

  const Call = ({ name }) => {
    const call = useCall(name);
    const player = useRef(null);
    const [lit, setLit] = useState(-1);
    const entries = useRef([]);
    entries.current = call?.entries ?? [];
    const play = useCallback((ms) => player.current?.play(ms), []);
    const onTime = useCallback((ms) => setLit(spokenAt(entries.current, ms)), []);
    useEffect(() => {
      if (!call) return undefined;
      document.title = `${call.agent ?? call.id} · local Roark`;
      const onKey = (event) => steer(event, player.current, call);
      document.addEventListener("keydown", onKey);
      return () => document.removeEventListener("keydown", onKey);
    }, [call]);
    useEffect(() => {
      if (!player.current?.playing) return;
      document.querySelector(".turn.lit")?.scrollIntoView({ block: "nearest" });
    }, [lit]);
    if (call === false) return html`<main><h1>This call is not here</h1></main>`;
    if (call === null) return html`<main aria-busy="true"><h1>Loading …</h1></main>`;
    return html`
      <main>
        <${Head} call=${call} />
        ${call.audio && html`<${Listen} call=${call} onTime=${onTime} hold=${(held) => { player.current = held; }} />`}
        ${!call.audio && html`<section class="card"><p class="hint">There is no audio${call.state === "live" && " yet"}.</p></section>`}
        <div class="columns">
          <${Transcript} call=${call} lit=${lit} play=${play} />
          <div class="side">
            ${call.replies && html`<${Replies} call=${call} play=${play} />`}
            <${Findings} call=${call} />
          </div>
        </div>
        <${Requests} call=${call} />
      </main>`;
  };

  window.roark.Call = Call;
})();
