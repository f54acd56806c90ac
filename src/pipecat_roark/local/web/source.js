"use strict";
// Where the page gets calls from: its server, or the file that it was saved in.
(() => {
  const get = async (path) => {
    const answer = await fetch(path);
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer;
  };
  const place = (name) => `api/calls/${encodeURIComponent(name)}`;

  const served = {
    isSaved: false,
    calls: async () => (await get("api/calls")).json(),
    call: async (name) => (await get(place(name))).json(),
    requests: async (name) => (await get(`${place(name)}/requests`)).text(),
    audio: ({ name, audio }) => `${place(name)}/audio?chunks=${audio.chunks}`,

    /** Calls back with the names of calls that changed. A hidden page holds no connection. */
    follow(changed) {
      let news;
      let isFirst = true;
      const connect = () => {
        news?.close();
        news = undefined;
        if (document.hidden) return;
        news = new EventSource("api/news");
        news.onopen = () => {
          if (!isFirst) changed(null); // what changed meanwhile is not known
          isFirst = false;
        };
        news.onmessage = ({ data }) => changed(JSON.parse(data));
      };
      connect();
      document.addEventListener("visibilitychange", connect);
      return () => {
        news?.close();
        document.removeEventListener("visibilitychange", connect);
      };
    },
  };

  /** The address of the audio in this file, or of none. */
  const savedAudio = () => {
    const audio = document.getElementById("saved-audio");
    if (!audio) return "";
    const bytes = Uint8Array.from(atob(audio.textContent), (character) => character.charCodeAt(0));
    audio.remove();
    return URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
  };

  const saved = (call, audio) => ({
    isSaved: true,
    calls: async () => [call],
    call: async () => call,
    requests: async () => call.requests,
    audio: () => audio,
    follow: () => () => {},
  });

  const data = document.getElementById("saved-call");
  window.roark.source = data ? saved(JSON.parse(data.textContent), savedAudio()) : served;
})();
