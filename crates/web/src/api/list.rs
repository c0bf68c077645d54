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

/// As the document's pattern has it: places are names and ids.
fn is_place(after: &str) -> bool {
    (1..=127).contains(&after.len())
        && after.bytes().all(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'/' | b'@' | b'.' | b'_' | b'-')
        })
}

fn hundred() -> u32 {
    Slice::<()>::default().limit
}

impl Cut {
    pub fn slice<C: FromStr>(self) -> Answer<Slice<C>> {
        let after = self.after.map(|after| {
            after.parse().ok().filter(|_| is_place(&after)).ok_or_else(|| {
                Failure::invalid(format!(
                    "this list has no place {:?}",
                    after.chars().take(100).collect::<String>()
                ))
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
