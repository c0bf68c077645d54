use std::str::FromStr;

use control::Slice;
use serde::Deserialize;
use utoipa::IntoParams;

use super::document::text;
use crate::failure::{Answer, Failure};

/// Which piece of a list is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Cut {
    #[param(schema_with = cursor)]
    pub after: Option<String>,
    /// At most this many, 1 to 1,000.
    #[serde(default = "hundred")]
    #[param(value_type = Option<u32>, default = 100, minimum = 1, maximum = 1000)]
    pub limit: u32,
}

fn cursor() -> utoipa::openapi::Object {
    text("Go on after it: the `next` of the piece before.", "^[a-z0-9/@._-]{1,127}$")
}

/// What any list could have as a place, as the document says it.
fn is_place(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/@._-".contains(&byte);
    (1..=127).contains(&text.len()) && text.bytes().all(good)
}

fn hundred() -> u32 {
    Slice::<()>::default().limit
}

impl Cut {
    pub fn slice<C: FromStr>(self) -> Answer<Slice<C>> {
        let after = self.after.map(|after| {
            let place = after.parse().ok().filter(|_| is_place(&after));
            place.ok_or_else(|| {
                let after: String = after.chars().take(100).collect();
                Failure::invalid(format!("this list has no place {after:?}"))
                    .hint("Send the next of the answer before as after, or leave it out to begin.")
            })
        });
        if !(1..=Slice::<()>::MOST).contains(&self.limit) {
            return Err(Failure::invalid(format!(
                "the limit is {}, not 1 to {}",
                self.limit,
                Slice::<()>::MOST
            ))
            .hint("Longer lists come in pieces: go on with after."));
        }
        Ok(Slice { after: after.transpose()?, limit: self.limit })
    }
}
