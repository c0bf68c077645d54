//! The keyboard alone: where the focus is, and what keys do there.

use anyhow::{Context, Result, ensure};
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use serde_json::json;

use super::Tour;

/// No page has more stops than this.
const MOST_STOPS: usize = 400;

/// Whether the focus is on a thing of that kind, and what it is on.
const FOCUS: &str =
    "const e = document.activeElement; return [e.matches(arguments[0]), e.outerHTML.slice(0, 100)]";

/// Whether the focus can be seen.
const SHOWS: &str = r#"
const e = document.activeElement;
const style = getComputedStyle(e);
const box = e.getBoundingClientRect();
const inSight = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
return inSight && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
"#;

impl Tour {
    async fn keys(&self, keys: impl IntoIterator<Item = char>) -> Result<()> {
        let mut pressed = KeyActions::new("keyboard".to_owned());
        for value in keys {
            pressed = pressed.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(pressed).await.context("press keys")
    }

    /// Goes on with Tab until the focus is on what `css` names, where it must show.
    /// Once round if it is there already: a page that a form led to has no
    /// focus of the window's before a key is pressed.
    pub(super) async fn tab_to(&mut self, css: &str) -> Result<()> {
        self.see(css, "", super::SOON).await?;
        let mut at = String::new();
        for _ in 0..MOST_STOPS {
            self.keys([Key::Tab.into()]).await?;
            let seen = self.client.execute(FOCUS, vec![json!(css)]).await?;
            if seen[0] == true {
                // A page that has just come may not have its style yet.
                return self.becomes_true(SHOWS, &format!("the focus shows on {css}")).await;
            }
            at = seen[1].as_str().unwrap_or_default().to_owned();
        }
        let url = self.client.current_url().await?;
        ensure!(false, "Tab does not lead to {css} at {url}; it is on {at}");
        Ok(())
    }

    /// A link, a button, or what opens and closes.
    pub(super) async fn press(&mut self, css: &str) -> Result<()> {
        self.tab_to(css).await?;
        self.keys([Key::Enter.into()]).await
    }

    /// A box to tick.
    pub(super) async fn tick(&mut self, css: &str) -> Result<()> {
        self.tab_to(css).await?;
        self.keys([' ']).await?;
        let ticked = format!("{css}:checked");
        self.becomes_true(&format!("return !!document.querySelector('{ticked}')"), &ticked).await
    }

    /// Into a field instead of what is there; or, in a list of choices, the one
    /// that begins so.
    pub(super) async fn enter(&mut self, css: &str, text: &str) -> Result<()> {
        self.tab_to(css).await?;
        let script = "const e = document.activeElement; if (e.select) e.select()";
        self.client.execute(script, vec![]).await?;
        self.keys(text.chars()).await?;
        let shown = "const e = document.querySelector(arguments[0]);
                     return e.selectedOptions ? e.selectedOptions[0].textContent : e.value";
        let value = self.client.execute(shown, vec![json!(css)]).await?;
        let fits = value.as_str().is_some_and(|value| value.starts_with(text));
        self.check(fits, &format!("{css} has {value}, and should have {text:?}"))
    }
}
