//! The API's document: kept in the repository, and true to the routes.

use std::path::Path;

#[test]
fn the_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/openapi.json");
    let built = web::openapi_json();
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &built).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == built,
        "docs/reference/openapi.json is out of date: run `UPDATE=1 cargo nextest run -p web the_document`"
    );
}

#[test]
fn the_document_says_what_clients_need() {
    let document: serde_json::Value = serde_json::from_str(&web::openapi_json()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in paths {
        assert!(path.starts_with("/api/v1/"), "{path}");
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["operationId"].is_string(), "{method} {path} has no operationId");
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            for refused in ["400", "401", "403", "429", "500"] {
                let refused = operation["responses"][refused]["$ref"].as_str();
                let name = refused.and_then(|refused| refused.strip_prefix("#/components/responses/"));
                let response = name.map(|name| &document["components"]["responses"][name]);
                let said =
                    response.is_some_and(|said| said["content"]["application/problem+json"].is_object());
                assert!(said, "{method} {path} does not say how it refuses: {refused:?}");
            }
        }
    }
    let references = web::openapi_json();
    for part in references.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is referred to and not there");
    }
}
