// What a session can tell of itself: loaded when it is asked for the first time.

export { explain } from "./insight-explain.js";
export { profile, toChromeTrace, withTrace } from "./insight-profile.js";
export { verify } from "./insight-verify.js";
