//! How states are written: one text per variant, the same in the schema's
//! CHECK constraints, the API and the console.

use std::fmt;

/// A text that names no variant of the enum it was read for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not one of {expected}")]
pub struct UnknownVariant {
    pub text: String,
    pub expected: String,
}

impl UnknownVariant {
    #[doc(hidden)]
    pub fn new(text: &str, all: &[impl fmt::Display]) -> Self {
        let expected = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Self { text: text.to_owned(), expected }
    }
}

/// An enum with one written form for each variant.
pub trait Written: Copy + 'static {
    const ALL: &'static [Self];

    fn written(self) -> &'static str;
}

/// Declares an enum whose variants have one written form, with `ALL`,
/// `as_str`, `Display`, `FromStr`, [`Written`] and serde.
#[macro_export]
macro_rules! written_enum {
    (
        $(#[$doc:meta])*
        pub enum $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl $crate::state::Written for $name {
            const ALL: &'static [Self] = Self::ALL;

            fn written(self) -> &'static str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::state::UnknownVariant;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err($crate::state::UnknownVariant::new(text, Self::ALL)),
                }
            }
        }
    };
}
