// The parts of a page that are the same all over the gallery: how it is doing, above the tool, and
// what runs where, beside it.

export const STATE = `
<p id="status" class="busy" role="status">Loading …</p>
<progress id="progress" max="1" value="0" aria-label="Loading"></progress>
<div id="trouble" hidden>
  <p id="next"></p>
  <button id="retry" type="button">Try again</button>
  <details><summary>Details</summary><span id="detail"></span></details>
</div>`;

export const PANEL = `
<section class="card" aria-labelledby="device-title">
  <h2 id="device-title">On this device</h2>
  <form id="choice">
    <fieldset class="segments">
      <legend>Run on</legend>
      <label><input type="radio" name="device" value="auto" checked> Automatic</label>
      <label><input type="radio" name="device" value="webgpu"> GPU</label>
      <label><input type="radio" name="device" value="wasm"> CPU</label>
    </fieldset>
  </form>
  <dl id="facts" hidden></dl>
</section>
<section class="card" aria-labelledby="times-title">
  <h2 id="times-title">Time per answer</h2>
  <table id="times" aria-labelledby="times-title" hidden>
    <thead><tr><th scope="col">Model</th><th scope="col">First</th><th scope="col">Last</th>
      <th scope="col">Median</th></tr></thead>
    <tbody></tbody>
  </table>
  <p id="runs" class="hint">Nothing has run yet.</p>
</section>
<section id="tuning" class="card" aria-labelledby="tuning-title" hidden>
  <h2 id="tuning-title">Tuning</h2>
  <p id="tuning-text" class="hint"></p>
  <div id="curve"></div>
  <button id="tune" type="button">Tune on this device</button>
  <p id="tuned" class="file" role="status"></p>
</section>
<section id="comparing" class="card" aria-labelledby="comparing-title" hidden>
  <h2 id="comparing-title">Beside onnxruntime-web</h2>
  <p id="comparison" class="hint" role="status">The same model and inputs, in this page, in turns.</p>
  <table id="compared" aria-labelledby="comparing-title" hidden>
    <thead><tr><th scope="col">Model</th><th scope="col">webrt</th><th scope="col">ort-web</th>
      <th scope="col">Ratio</th></tr></thead>
    <tbody></tbody>
  </table>
  <button id="compare" type="button" disabled>Compare</button>
</section>`;
