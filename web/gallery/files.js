// What kind of file is it? Google's magika, on files that stay on the device.

import { classifier } from "../demo/magika.js";
import { Gallery, element, find, showMs } from "./page.js";

const gallery = new Gallery(["magika"]);
await gallery.open(async () => {
  const session = /** @type {import("../webrt.js").InferenceSession} */ (gallery.sessions.get("magika"));
  const watched = Object.create(session, {
    run: { value: (/** @type {any} */ feeds) => gallery.run("magika", feeds, "Last answer") },
    inputMetadata: { value: session.inputMetadata },
    outputMetadata: { value: session.outputMetadata },
  });
  await classifier(watched, { drop: find("#drop"), file: find("#file"), list: find("#labels"),
    section: find("#files"), element, showMs, sayError: (error) => gallery.say(String(error), true) });
});
