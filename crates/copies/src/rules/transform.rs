use std::fmt;
use std::str::FromStr;

macro_rules! transforms {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)*) => {
        /// What becomes of a value. Nulls stay nulls.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Transform {
            $($(#[doc = $doc])+ $name,)*
            /// `set VALUE`: this value in every row, also where there was none.
            Set(String),
        }

        impl Transform {
            /// All but `set`, with what they do.
            pub const WORDS: &[(&str, &str)] = &[$(($word, concat!($($doc),+)),)*];

            fn word(&self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Set(_) => "set",
                }
            }

            fn plain(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

transforms! {
    /// The value stays as it is.
    Keep = "keep",
    /// No value; where one is needed, an empty one.
    Null = "null",
    /// All rows of the table are left out, and what refers to them.
    Drop = "drop",
    /// The invented name of a person or company; parts between commas are names of their own.
    Name = "name",
    /// Addresses at example.com, example.net and example.org.
    Email = "email",
    /// A number out of those that are set aside for fiction.
    Phone = "phone",
    /// An invented street with a number.
    Street = "street",
    /// An invented town.
    City = "city",
    /// A few words, as a title has them.
    Words = "words",
    /// Filler of about the same length; HTML stays HTML.
    Text = "text",
    /// Other digits for digits and other letters for letters, the shape stays.
    Digits = "digits",
    /// Random letters and digits, of the same length.
    Token = "token",
    /// An address below https://example.com/.
    Url = "url",
    /// A small picture, whatever it was.
    Binary = "binary",
    /// Every text in it becomes words; keys, numbers and truth values stay.
    Json = "json",
    /// As `json`, but what Odoo's properties are called by stays.
    Properties = "properties",
    /// An empty object, list or text.
    Empty = "empty",
    /// The value stays if it is one technical word; else it becomes words.
    Choice = "choice",
    /// The value stays if it is a reference such as res.partner,7; else none.
    Reference = "reference",
    /// The same year, another day.
    Date = "date",
    /// Times 0.8 to 1.2, the same for equal values.
    Scale = "scale",
    /// Times 0.8 to 1.2, the same for all documents that belong together; all sums hold.
    Amount = "amount",
    /// A translation: as the column that it translates (Odoo up to 15).
    Translation = "translation",
    /// An attachment's name: words, and its ending.
    Filename = "filename",
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no transform")]
pub struct TransformError(String);

impl TransformError {
    pub fn hint(&self) -> String {
        let words: Vec<&str> = Transform::WORDS.iter().map(|(word, _)| *word).collect();
        format!("it is one of {} or `set VALUE`", words.join(", "))
    }
}

impl FromStr for Transform {
    type Err = TransformError;

    fn from_str(text: &str) -> Result<Self, TransformError> {
        if let Some(value) = text.strip_prefix("set ") {
            return Ok(Self::Set(value.to_owned()));
        }
        Self::plain(text).ok_or_else(|| TransformError(text.to_owned()))
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(value) => write!(f, "set {value}"),
            other => f.write_str(other.word()),
        }
    }
}

impl Transform {
    /// Whether no text of the value is left: what the proof then searches for.
    pub fn hides(&self) -> bool {
        !matches!(self, Self::Keep | Self::Choice | Self::Reference | Self::Date | Self::Scale | Self::Amount)
    }
}
