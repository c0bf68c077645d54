//! What the API's document says of every operation: how it refuses, and that
//! it takes no other parameters than those it names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response as Answered;
use protocol::api::Problem;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Content, HeaderBuilder, OpenApi as Document, PathItem, Ref, RefOr, Response, ResponseBuilder, Schema,
};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use crate::failure::{Answer, Failure};

/// Built once: requests are held against it.
pub(super) fn document() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(super::Document::openapi);
    &DOCUMENT
}

/// A way to be refused, and the operations that it can happen to.
struct Refusal {
    status: u16,
    name: &'static str,
    description: &'static str,
    of: fn(&Shape<'_>) -> bool,
}

const REFUSALS: &[Refusal] = &[
    Refusal {
        status: 400,
        name: "Invalid",
        description: "The request is not valid; `detail` says what is wrong with it.",
        of: |_| true,
    },
    Refusal {
        status: 401,
        name: "Unauthenticated",
        description: "There is no API key, or it is not valid, revoked or expired.",
        of: |_| true,
    },
    Refusal {
        status: 403,
        name: "Forbidden",
        description: "The caller may see it, but not do this.",
        of: |_| true,
    },
    Refusal {
        status: 404,
        name: "NotFound",
        description: "What the request names is not there, or not for the caller to see.",
        of: |shape| shape.names_something(),
    },
    Refusal {
        status: 409,
        name: "Conflict",
        description: "A name is taken, or the present state does not allow it.",
        of: |shape| shape.changes,
    },
    Refusal {
        status: 412,
        name: "Changed",
        description: "It has changed since the version that `If-Match` names.",
        of: |shape| shape.has("If-Match"),
    },
    Refusal {
        status: 413,
        name: "TooLarge",
        description: "The body is larger than 1 MiB.",
        of: |shape| shape.body,
    },
    Refusal {
        status: 414,
        name: "AddressTooLong",
        description: "The address is longer than 8 KiB.",
        of: |_| true,
    },
    Refusal {
        status: 415,
        name: "NotJson",
        description: "The body is of another type than JSON.",
        of: |shape| shape.body,
    },
    Refusal {
        status: 422,
        name: "Unfit",
        description: "The body does not fit, or the Idempotency-Key was used for another request.",
        of: |shape| shape.body || shape.has("Idempotency-Key"),
    },
    Refusal {
        status: 428,
        name: "Unconditional",
        description: "The request does not say which version it changes.",
        of: |shape| shape.has("If-Match"),
    },
    Refusal {
        status: 429,
        name: "TooMany",
        description: "Too many requests; `hint` says when to try again.",
        of: |_| true,
    },
    Refusal {
        status: 431,
        name: "HeadersTooLarge",
        description: "The headers are larger than 16 KiB.",
        of: |_| true,
    },
    Refusal {
        status: 500,
        name: "Failed",
        description: "Heddle failed; its log has the cause beside `request_id`.",
        of: |_| true,
    },
    Refusal {
        status: 503,
        name: "Unavailable",
        description: "A part that is needed does not answer now.",
        of: |_| true,
    },
];

/// What decides how an operation can be refused.
struct Shape<'a> {
    parameters: &'a [Parameter],
    body: bool,
    changes: bool,
}

impl Shape<'_> {
    fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|known| known.name.eq_ignore_ascii_case(parameter))
    }

    /// Where a list begins and ends names nothing.
    fn names_something(&self) -> bool {
        let cut = ["after", "limit", "state", "idempotency-key", "if-none-match"];
        self.body || self.parameters.iter().any(|known| !cut.contains(&&*known.name.to_lowercase()))
    }
}

/// Stands in each operation's responses for [`REFUSALS`].
pub(super) struct Refused;

const ANY: &str = "default";

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([(ANY.to_owned(), RefOr::T(Response::new("")))])
    }
}

pub(super) struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut Document) {
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("hk_…")
            .description(Some("An API key."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("api_key", SecurityScheme::Http(key));
        for refusal in REFUSALS {
            components.responses.insert(refusal.name.to_owned(), RefOr::T(problem(refusal)));
        }
        for item in document.paths.paths.values_mut() {
            for (method, operation) in operations_mut(item) {
                finish(&method, operation);
            }
        }
    }
}

fn problem(refusal: &Refusal) -> Response {
    let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
    let header = |description: &str| HeaderBuilder::new().description(Some(description)).build();
    let response = ResponseBuilder::new()
        .description(refusal.description)
        .content("application/problem+json", content)
        .header("X-Request-Id", header("The same as `request_id`"));
    match refusal.status {
        401 => response.header("WWW-Authenticate", header("`Bearer`")).build(),
        429 => response.header("Retry-After", header("Seconds")).build(),
        _ => response.build(),
    }
}

fn finish(method: &Method, operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        // One that is left out is not null.
        if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema {
            without_null(object);
        }
    }
    if operation.responses.responses.remove(ANY).is_none() {
        return;
    }
    let shape = Shape {
        parameters: operation.parameters.as_deref().unwrap_or_default(),
        body: operation.request_body.is_some(),
        changes: *method != Method::GET,
    };
    for refusal in REFUSALS.iter().filter(|refusal| (refusal.of)(&shape)) {
        let response = RefOr::Ref(Ref::new(format!("#/components/responses/{}", refusal.name)));
        operation.responses.responses.entry(refusal.status.to_string()).or_insert(response);
    }
}

fn without_null(object: &mut Object) {
    if let SchemaType::Array(types) = &object.schema_type
        && let [only] = types.iter().filter(|known| **known != Type::Null).collect::<Vec<_>>()[..]
    {
        object.schema_type = SchemaType::Type(only.clone());
    }
    if let Some(values) = &mut object.enum_values {
        values.retain(|value| !value.is_null());
    }
}

/// An optional text in a header or the query.
pub(super) fn text(description: &str, pattern: &str) -> Object {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.description(Some(description)).pattern(Some(pattern)).build()
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// The parameters that each operation's query may have.
type Queries = HashMap<(Method, String), BTreeSet<String>>;

fn queries() -> &'static Queries {
    static QUERIES: LazyLock<Queries> = LazyLock::new(|| {
        let of = |operation: &Operation| -> BTreeSet<String> {
            let parameters = operation.parameters.iter().flatten();
            let query = parameters.filter(|known| known.parameter_in == ParameterIn::Query);
            query.map(|known| known.name.clone()).collect()
        };
        let paths = document().paths.paths.iter();
        paths
            .flat_map(|(path, item)| {
                operations(item).map(|(method, operation)| ((method, path.clone()), of(operation)))
            })
            .collect()
    });
    &QUERIES
}

/// Refuses a parameter that the operation does not have: a misspelt filter
/// would list everything.
pub(super) async fn known_parameters(
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Answer<Answered> {
    let method = match request.method() {
        &Method::HEAD => Method::GET,
        other => other.clone(),
    };
    let (Some(path), Some(query)) = (path, request.uri().query()) else {
        return Ok(next.run(request).await);
    };
    if let Some(known) = queries().get(&(method, path.as_str().to_owned())) {
        let names = query.split('&').filter(|pair| !pair.is_empty());
        let mut names = names.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
        if let Some(unknown) = names.find(|name| !known.contains(*name)) {
            let unknown: String = unknown.chars().take(100).collect();
            let hint = match known.is_empty() {
                true => "It takes none.".to_owned(),
                false => format!("It takes {}.", known.iter().cloned().collect::<Vec<_>>().join(", ")),
            };
            return Err(Failure::invalid(format!("there is no parameter {unknown:?} here")).hint(hint));
        }
    }
    Ok(next.run(request).await)
}
