//! How a page must be, whatever it shows: it fits a phone, can be read in
//! light and dark, and says what each of its parts is.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Tour;

/// The narrowest phone that is thought of, and a desk.
const WIDTHS: [(u32, bool); 2] = [(360, true), (1280, false)];

/// What is wrong with the page, as a list of sentences.
const FAULTS: &str = r#"
const [width] = arguments;
const faults = [];
const root = document.documentElement;
if (root.scrollWidth > width) {
  const wide = [...document.querySelectorAll("main *")].find((e) => e.getBoundingClientRect().right > width + 1);
  faults.push(`it is ${root.scrollWidth} wide: ${wide ? wide.outerHTML.slice(0, 120) : "the frame"}`);
}
const seen = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest(".hush, .skip");

// Colours as red, green, blue and how much they cover, each from 0 to 1.
const colour = (text) => {
  const numbers = text.match(/[\d.]+/g).map(Number);
  const scale = text.startsWith("color(") ? 1 : 255;
  return [...numbers.slice(0, 3).map((n) => n / scale), numbers[3] ?? 1];
};
const over = (top, under) => {
  const [alpha] = top.slice(3);
  return [0, 1, 2].map((n) => top[n] * alpha + under[n] * (1 - alpha)).concat(1);
};
const behind = (e) => {
  const layers = [];
  for (let at = e; at; at = at.parentElement) {
    const layer = colour(getComputedStyle(at).backgroundColor);
    layers.push(layer);
    if (layer[3] === 1) break;
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return layers.reduceRight((under, layer) => over(layer, under), dark ? [0, 0, 0, 1] : [1, 1, 1, 1]);
};
const light = (c) => {
  const [r, g, b] = c.slice(0, 3).map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const told = new Set();
let texts = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !e || !seen(e) || e.closest(":disabled, option, script")) continue;
  texts += 1;
  const style = getComputedStyle(e);
  const under = behind(e);
  const [a, b] = [light(over(colour(style.color), under)), light(under)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) {
    const fault = `${style.color} has a contrast of ${ratio.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)}`;
    if (!told.has(fault)) faults.push(fault);
    told.add(fault);
  }
}
if (texts < 10) faults.push(`there are only ${texts} texts to read`);

for (const e of document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea, summary")) {
  const name = e.getAttribute("aria-label") || e.innerText || [...(e.labels ?? [])].map((l) => l.innerText).join(" ");
  if (seen(e) && !name.trim()) faults.push(`it has no name: ${e.outerHTML.slice(0, 120)}`);
}
for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
  for (const id of (e.getAttribute("aria-labelledby") ?? e.getAttribute("aria-describedby")).split(" ")) {
    if (!document.getElementById(id)) faults.push(`there is no ${id} to name ${e.outerHTML.slice(0, 80)}`);
  }
}
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) faults.push(`${id} is there twice`);
for (const landmark of ["main#main", "header", "nav[aria-label=Main]", "h1", "a.skip"]) {
  const count = document.querySelectorAll(landmark === "header" ? "body header.top" : landmark).length;
  if (count !== 1) faults.push(`there are ${count} of ${landmark}`);
}
const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((h) => Number(h.tagName[1]));
if (levels.some((level, at) => level > (levels[at - 1] ?? 0) + 1)) faults.push(`headings jump: ${levels}`);
return faults;
"#;

impl Tour {
    /// Looks at the page at `path` on a phone and at a desk, in light and dark;
    /// what is wrong with it is noted.
    pub(super) async fn looks(&mut self, path: &str) -> Result<()> {
        self.client.goto(&format!("{}{path}", self.base)).await?;
        for (width, phone) in WIDTHS {
            let screen = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": phone});
            self.devtools("Emulation.setDeviceMetricsOverride", screen).await?;
            for scheme in ["light", "dark"] {
                self.scheme(scheme).await?;
                let faults = self.client.execute(FAULTS, vec![json!(width)]).await?;
                let found = faults.as_array().context("a list of faults")?.iter().filter_map(Value::as_str);
                let before = self.faults.len();
                self.faults.extend(found.map(|fault| format!("{path} at {width} px in {scheme}: {fault}")));
                self.checks += usize::from(self.faults.len() == before);
                self.picture(path, width, scheme).await?;
            }
        }
        self.scheme("").await?;
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await.map(drop)
    }

    /// Keeps what the page looks like, where somebody has asked for that.
    async fn picture(&self, path: &str, width: u32, scheme: &str) -> Result<()> {
        let Some(folder) = std::env::var_os("HEDDLE_TEST_PICTURES") else { return Ok(()) };
        let name: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let file =
            std::path::Path::new(&folder).join(format!("{}-{width}-{scheme}.png", name.trim_matches('-')));
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let picture = self.devtools("Page.captureScreenshot", whole).await?;
        let data = picture["data"].as_str().context("a picture")?;
        use base64::Engine;
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).context("read the picture")?;
        std::fs::write(&file, bytes).with_context(|| format!("write {}", file.display()))
    }

    async fn scheme(&self, scheme: &str) -> Result<()> {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// What WebDriver has no words for.
    async fn devtools(&self, command: &str, parameters: Value) -> Result<Value> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let body = json!({"cmd": command, "params": parameters});
        let url = format!("{}/goog/cdp/execute", self.session);
        let answer: Value = http.post(url).json(&body).send().await?.json().await?;
        anyhow::ensure!(answer["value"].get("error").is_none(), "{command}: {answer}");
        Ok(answer["value"].clone())
    }
}
