"use strict";
// Shows the list or one call, by the address.
(() => {
  const { html, render, useEffect, useState } = htmPreact;
  const { source, List, Call } = roark;
  const icon = document.querySelector("link[rel=icon]").href;

  const named = () => {
    const name = /^#\/call\/(.+)$/.exec(location.hash)?.[1];
    try {
      return name && decodeURIComponent(name);
    } catch {
      return undefined; // not an address of this page
    }
  };

  const App = () => {
    const [name, setName] = useState(named);
    useEffect(() => {
      const turn = () => setName(named());
      addEventListener("hashchange", turn);
      return () => removeEventListener("hashchange", turn);
    }, []);
    return html`
      <nav class="top">
        <a class="brand" href=${source.isSaved ? undefined : "#/"}><img src=${icon} alt="" />Local Roark</a>
        ${name && !source.isSaved && html`<a class="back" href="#/">← All calls</a>`}
      </nav>
      ${name || source.isSaved ? html`<${Call} key=${name} name=${name} />` : html`<${List} />`}`;
  };

  render(html`<${App} />`, document.getElementById("app"));
})();
