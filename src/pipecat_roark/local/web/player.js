"use strict";
// The waveforms, and the audio that is heard with them.
(() => {
  const CHANNEL = { user: 0, assistant: 1 };
  const HEIGHT = 64;

  const color = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  /** The peaks of each channel, from 0 to 1. The loudest fills its lane; noise stays small. */
  const channels = ({ peaks, channels: count }) => {
    const bytes = Uint8Array.from(atob(peaks), (character) => character.charCodeAt(0));
    const full = bytes.reduce((most, byte) => Math.max(most, byte), 32);
    return Array.from({ length: count }, (_, channel) =>
      Float32Array.from(
        { length: Math.max(1, bytes.length / count) },
        (_, i) => (bytes[i * count + channel] ?? 0) / full,
      ),
    );
  };

  const mark = (sign, name, title) => {
    const element = document.createElement("span");
    element.textContent = sign;
    element.title = title;
    Object.assign(element.style, { color: color(name), fontSize: "12px", padding: "0 2px" });
    return element;
  };

  const fixed = { drag: false, resize: false };

  /** What is marked in the waveform: each turn, where a turn was cut off, and each tool call. */
  function* marks(entries, mono) {
    for (const [number, entry] of entries.entries()) {
      const { kind, role, start_ms: start, end_ms: end } = entry;
      if (start === null) continue;
      const channelIdx = mono ? -1 : CHANNEL[role] ?? -1;
      if (kind === "tool") {
        const content = mark("◆", "tool", `tool call: ${entry.name}`);
        yield { ...fixed, start: start / 1000, color: color("tool"), content };
      } else {
        const [from, to] = [start / 1000, end / 1000];
        yield { ...fixed, id: `${number}`, start: from, end: to, channelIdx, color: color(`${role}-span`) };
        if (entry.interrupted) {
          const content = mark("✂", "bad", "the user cut this turn off");
          yield { ...fixed, start: to, channelIdx, color: color("bad"), content };
        }
      }
    }
  }

  const look = (mono) => ({
    cursorColor: color("text"),
    splitChannels: (mono ? ["assistant"] : ["user", "assistant"]).map((role) => ({
      height: HEIGHT,
      waveColor: color(`${role}-wave`),
      progressColor: color(role),
    })),
  });

  class Player {
    #media = Object.assign(new Audio(), { preload: "metadata" });
    #regions = WaveSurfer.Regions.create();
    #surfer;
    #shown = {};
    #next;

    /** Draws into two elements. `onTime` gets milliseconds, `onPlaying` whether it plays. */
    constructor(container, axis, onTime, onPlaying) {
      this.#surfer = WaveSurfer.create({
        ...look(false),
        container,
        media: this.#media,
        cspNonce: document.body.dataset.nonce,
        barWidth: 2,
        barGap: 1,
        barRadius: 2,
        cursorWidth: 2,
        dragToSeek: true,
        plugins: [
          this.#regions,
          WaveSurfer.Timeline.create({ container: axis, height: 18, secondaryLabelOpacity: 1 }),
          WaveSurfer.Hover.create({ lineColor: color("muted"), labelSize: "11px" }),
        ],
      });
      this.#surfer.on("timeupdate", (seconds) => onTime(seconds * 1000));
      this.#surfer.on("play", () => onPlaying(true));
      this.#surfer.on("pause", () => {
        onPlaying(false);
        if (this.#next) this.show(this.#next);
      });
      this.#surfer.on("error", () => onPlaying(false));
      this.#scheme.addEventListener("change", this.#restyle);
    }

    #scheme = matchMedia("(prefers-color-scheme: dark)");
    #restyle = () => {
      if (this.#shown.call) this.#draw(this.#shown.call);
    };

    /** Shows a call, or what is new of it. While it plays, the new waits for the pause. */
    show(call) {
      if (this.#surfer.isPlaying()) {
        this.#next = call;
        return Promise.resolve();
      }
      this.#next = undefined;
      const isSame = JSON.stringify([call.audio, call.entries]) === this.#shown.key;
      return isSame ? Promise.resolve() : this.#draw(call);
    }

    async #draw(call) {
      const at = this.#surfer.getCurrentTime();
      const mono = call.audio.channels === 1;
      const seconds = call.audio.length_ms / 1000;
      this.#shown = { call, seconds, key: JSON.stringify([call.audio, call.entries]) };
      this.#surfer.setOptions(look(mono));
      try {
        await this.#surfer.load(roark.source.audio(call), channels(call.audio), seconds);
      } catch {
        return; // the page went on to another call
      }
      if (at) this.seek(at * 1000);
      this.#regions.clearRegions();
      for (const region of marks(call.entries, mono)) this.#regions.addRegion(region);
    }

    get ms() {
      return this.#surfer.getCurrentTime() * 1000;
    }

    get playing() {
      return this.#surfer.isPlaying();
    }

    seek(ms) {
      // Not by the surfer: of several jumps in a row, it may go back to an earlier one.
      this.#media.currentTime = Math.min(Math.max(0, ms / 1000), this.#shown.seconds ?? 0);
    }

    play(ms) {
      if (ms !== undefined) this.seek(ms);
      return this.#surfer.play().catch(() => {}); // a browser may refuse to play
    }

    toggle() {
      if (this.playing) this.#surfer.pause();
      else this.play();
    }

    destroy() {
      this.#scheme.removeEventListener("change", this.#restyle);
      this.#surfer.destroy();
      this.#media.removeAttribute("src");
    }
  }

  window.roark.Player = Player;
})();
