"use strict";
// What was said and done, line by line.
(() => {
  const { html } = htmPreact;
  const { format } = roark;
  const MOST_LEAD_MS = 500;
  const SPEAKER = { user: "User", assistant: "Agent" };

  const At = ({ ms }) => html`<span class="at">${ms === null ? "typed" : format.clock(ms)}</span>`;

  const Reply = ({ ms, worst }) => html`
    <span class="chip reply ${ms < 100 ? "bad" : ms === worst ? "slow" : ""}"
      title="time from the end of the user's speech to the answer">${format.length(ms)}</span>`;

  /** What was said. A word that has a place plays from a little before, as it may be off. */
  const Content = ({ content, words, start_ms: first }) => {
    let end = 0;
    return words.map(([text, start, , error]) => {
      const begin = content.indexOf(text, end);
      const between = content.slice(end, begin);
      end = begin + text.length;
      const from = Math.max(first, start - Math.min(error, MOST_LEAD_MS));
      return html`${between}<span class="word" data-ms=${from}>${text}</span>`;
    }).concat(content.slice(end));
  };

  const lasts = ({ start_ms: start, end_ms: end }) => end - start;
  const told = (stage) => `${format.length(lasts(stage))} ${stage.key.replaceAll("_", " ")} (${stage.owner})`;

  /** Why the answer took its time: a part of the bar for each stage, on the scale of the slowest. */
  const Stages = ({ stages, slowest }) => html`
    <span class="stages" role="img" aria-label="The answer took ${stages.map(told).join(", ")}">
      ${stages.map((stage) => html`<span class="stage ${stage.kind}" title=${told(stage)}
        style=${{ "--share": Math.max(0, lasts(stage)) / Math.max(slowest, 1) }}></span>`)}
    </span>`;

  const Words = ({ turn, worst, slowest }) => html`
    <span class="said">
      <span class="speaker">${SPEAKER[turn.role]}</span>
      ${turn.response_ms !== null && html`<${Reply} ms=${turn.response_ms} worst=${worst} />`}
      ${turn.interrupted && html`<span class="chip bad">cut off</span>`}
      <span class="words"><${Content} ...${turn} />${turn.unheard && html` <del>${turn.unheard}</del>`}</span>
      ${turn.latency.length > 0 && html`<${Stages} stages=${turn.latency} slowest=${slowest} />`}
    </span>`;

  /** A turn; a click plays it, from the word that is hit. What has no place can't be played. */
  const Turn = ({ turn, number, isLit, worst, slowest, play, hasAudio }) => html`
    <li class="turn ${turn.role} ${isLit ? "lit" : ""}">
      <button type="button" class="line" data-number=${number} disabled=${turn.start_ms === null || !hasAudio}
        aria-current=${isLit ? "true" : undefined} onClick=${({ target }) => play(Number(target.dataset.ms ?? turn.start_ms))}>
        <${At} ms=${turn.start_ms} />
        <${Words} turn=${turn} worst=${worst} slowest=${slowest} />
      </button>
    </li>`;

  const Tool = ({ tool }) => html`
    <li class="tool">
      <details>
        <summary class="line">
          <${At} ms=${tool.start_ms} />
          <span class="said">
            <span class="speaker">Tool</span>
            <span class="chip reply">${tool.duration_ms === null ? "no result" : format.length(tool.duration_ms)}</span>
            <code class="words">${tool.name}</code>
          </span>
        </summary>
        <div class="inside">
          <h3>Arguments</h3>
          <pre tabindex="0" aria-label="Arguments of ${tool.name}">${format.pretty(tool.arguments)}</pre>
          ${tool.results.map((result) => html`
            <h3>Result</h3>
            <pre tabindex="0" aria-label="Result of ${tool.name}">${format.pretty(result)}</pre>`)}
        </div>
      </details>
    </li>`;

  const Transcript = ({ call, lit, play }) => {
    // One answer, or several that are alike, have no worst among them.
    const worst = call.replies?.worst > call.replies?.median ? call.replies.worst : undefined;
    const slowest = Math.max(0, ...call.entries.map(({ latency = [] }) => latency.reduce((sum, stage) => sum + lasts(stage), 0)));
    return html`
      <section class="card" aria-labelledby="transcript">
        <h2 id="transcript">Transcript</h2>
        ${call.entries.some((entry) => entry.unheard) &&
        html`<p class="hint">Words that are <del>struck out</del> were made, but nobody heard them.</p>`}
        ${slowest > 0 && html`<p class="hint">A bar shows why an answer took its time:
          ${["service", "setting", "bot", "pipeline"].map((kind) => html` <span class="kind"><span class="stage ${kind}"></span> ${kind}</span>`)}.</p>`}
        ${call.state !== "ended" && html`
          <p class="hint">The words come with the end of the call. Until then, Roark gets the audio alone.</p>`}
        ${call.state === "ended" && call.entries.length === 0 && html`<p class="hint">Nothing was said.</p>`}
        <ol class="transcript">
          ${call.entries.map((entry, number) =>
            entry.kind === "tool"
              ? html`<${Tool} key=${number} tool=${entry} />`
              : html`<${Turn} key=${number} number=${number} turn=${entry} isLit=${number === lit}
                  worst=${worst} slowest=${slowest} play=${play} hasAudio=${call.audio !== null} />`,
          )}
        </ol>
      </section>`;
  };

  window.roark.Transcript = Transcript;
})();
