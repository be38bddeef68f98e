export { explain } from "./insight-explain.js";
export { profile, toChromeTrace, withTrace } from "./insight-profile.js";
export { verify } from "./insight-verify.js";
