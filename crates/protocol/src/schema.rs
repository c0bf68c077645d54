//! Parts of the API's document that a type alone does not say.

use model::access::Permission;
use model::state::Written;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

fn texts<T: Written>() -> impl Iterator<Item = Option<&'static str>> {
    T::ALL.iter().map(|variant| Some(variant.written()))
}

/// One of an enum's texts.
pub fn one_of<T: Written>() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(texts::<T>())).build()
}

/// One of an enum's texts, or null.
pub fn one_of_or_none<T: Written>() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(texts::<T>().chain([None])))
        .build()
}

/// What a key may do.
pub(crate) fn scopes() -> Array {
    let text = "What it may do, as far as its user may.";
    ArrayBuilder::new().description(Some(text)).items(one_of::<Permission>()).max_items(Some(12)).build()
}

/// At most 100 absolute paths.
pub(crate) fn addons() -> Array {
    let path =
        ObjectBuilder::new().schema_type(Type::String).pattern(Some("^/[^\\x00]*$")).max_length(Some(4000));
    ArrayBuilder::new().description(Some("Further addons folders.")).items(path).max_items(Some(100)).build()
}

/// From 1 to 1,000 names of Odoo modules.
pub(crate) fn modules() -> Array {
    let module = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[A-Za-z0-9_]{1,100}$"))
        .examples([serde_json::json!("base")]);
    let text = "Modules that every tenant of this build starts with.";
    ArrayBuilder::new().description(Some(text)).items(module).min_items(Some(1)).max_items(Some(1000)).build()
}
