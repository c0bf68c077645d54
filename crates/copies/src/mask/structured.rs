//! Values that hold values.

use serde_json::Value;

use super::{Demands, Masker, is_technical};
use crate::rules::Transform;

/// By these, Odoo finds its properties; it makes them itself.
const PROPERTY_KEYS: [&str; 3] = ["name", "type", "comodel"];

impl Masker {
    pub(super) fn json(&self, transform: &Transform, value: &str) -> String {
        let leaf = match transform {
            Transform::Json | Transform::Properties => &Transform::Words,
            other => other,
        };
        // A text column may hold what is no JSON; what comes out is some.
        let Ok(mut parsed) = serde_json::from_str::<Value>(value) else {
            return Value::String(self.text(leaf, value, 0)).to_string();
        };
        self.leaves(&mut parsed, leaf, *transform == Transform::Properties);
        parsed.to_string()
    }

    fn leaves(&self, value: &mut Value, transform: &Transform, properties: bool) {
        match value {
            Value::String(text) => {
                let masked = self.apply(transform, Demands::default(), text);
                *value = masked.map_or(Value::Null, Value::String);
            }
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.leaves(item, transform, properties));
            }
            Value::Object(members) => {
                for (key, member) in members.iter_mut() {
                    let stays = properties
                        && PROPERTY_KEYS.contains(&key.as_str())
                        && member.as_str().is_some_and(is_technical);
                    if !stays {
                        self.leaves(member, transform, properties);
                    }
                }
                // A key that is no technical word may be somebody's name.
                if members.keys().any(|key| !is_technical(key)) {
                    let old = std::mem::take(members);
                    for (key, member) in old {
                        let key = if is_technical(&key) {
                            key
                        } else {
                            self.apply(&Transform::Words, Demands::default(), &key).unwrap_or_default()
                        };
                        members.insert(key, member);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// What is left of a value of this kind.
pub(super) fn empty(value: &str, json: bool) -> &'static str {
    match value.trim_start().as_bytes().first() {
        Some(b'{') if json => "{}",
        Some(b'[') if json => "[]",
        _ if json => "null",
        _ => "",
    }
}
