// The front end of webrt.widget.SessionWidget: an anywidget module. It needs no server: the player's
// modules come from `player`, a URL, or from the kernel as messages, and are linked here.

/** What this needs of anywidget's model. @typedef {{
 *   get: (name: string) => any, set: (name: string, value: unknown) => void, save_changes: () => void,
 *   on: (event: string, callback: (...args: any[]) => void) => void,
 *   off: (event: string, callback: (...args: any[]) => void) => void,
 *   send: (content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]) => void}} Model */
/** @typedef {import("./widget-session.js").WidgetSession} WidgetSession */

/** Ask the kernel for the player's sources. @param {Model} model
 * @returns {Promise<Record<string, string>>} */
function sourcesFrom(model) {
  return new Promise((resolve) => {
    /** @param {any} message @param {DataView[]} buffers */
    const hear = (message, buffers) => {
      if (message?.kind !== "player") return;
      model.off("msg:custom", hear);
      const decoder = new TextDecoder();
      resolve(Object.fromEntries(message.names.map(
        (/** @type {string} */ name, /** @type {number} */ j) => [name, decoder.decode(buffers[j])])));
    };
    model.on("msg:custom", hear);
    model.send({ kind: "player" });
  });
}

/** @param {Model} model @returns {Promise<typeof import("./widget-session.js")>} */
async function loadSession(model) {
  const { player } = model.get("options");
  if (player) {
    const folder = new URL(player.endsWith("/") ? player : `${player}/`, document.baseURI);
    return import(new URL("widget-session.js", folder).href);
  }
  const sources = await sourcesFrom(model);
  const blob = new Blob([sources["link.js"]], { type: "text/javascript" });
  const { link } = await import(URL.createObjectURL(blob));
  return import(link(sources, ["widget-session.js"])["widget-session.js"]);
}

export default () => {
  /** One session a widget, however often it is shown. @type {Promise<WidgetSession> | undefined} */
  let opening;
  return {
    /** @param {{model: Model}} context */
    initialize({ model }) {
      opening = loadSession(model).then(({ WidgetSession }) => new WidgetSession(model));
      opening.catch((error) => {
        model.set("state", { name: "failed", message: `${error.name}: ${error.message}` });
        model.save_changes();
      });
      return () => { opening?.then((session) => session.close(), () => {}); };
    },
    /** @param {{el: HTMLElement}} context */
    async render({ el }) {
      el.classList.add("webrt");
      try {
        return (await /** @type {Promise<WidgetSession>} */ (opening)).show(el);
      } catch (error) {
        el.textContent = `webrt's player can't be loaded: ${error}`;
        return undefined;
      }
    },
  };
};
