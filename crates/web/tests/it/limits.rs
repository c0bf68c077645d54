//! How many requests are taken.

use axum::http::{Method, StatusCode};
use web::{Rate, WebState};

use crate::site::{PLATFORM_KEY, Site};

#[tokio::test]
async fn one_key_is_bounded_and_others_are_not() {
    let site = Site::new().await;
    let other = site.control.create_api_key("other").await.unwrap().key;
    let limited = WebState::new(site.control.clone(), PLATFORM_KEY)
        .limited(Some(Rate { per_second: 0.001, burst: 5.0 }), Rate::STRANGERS);
    let site = site.with_router(web::router(limited));
    for _ in 0..5 {
        assert_eq!(site.get("/api/v1/projects").await.status, StatusCode::OK);
    }
    let refused = site.get("/api/v1/projects").await;
    assert_eq!(
        (refused.status, refused.problem().kind.as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "too-many")
    );
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((900..=1000).contains(&wait), "{wait}");
    let request = site.request(Method::GET, "/api/v1/projects", &other, None);
    assert_eq!(site.send(request).await.status, StatusCode::OK);
    // Workers and routers are not callers.
    for _ in 0..20 {
        let request = site.request(Method::GET, "/internal/routes", PLATFORM_KEY, None);
        assert_eq!(site.send(request).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn guessing_is_bounded_by_address() {
    let site = Site::new().await;
    let mut answers = Vec::new();
    for n in 0..200 {
        let key = format!("hk_guessing_{n}");
        answers.push(site.send(site.request(Method::GET, "/api/v1/projects", &key, None)).await.status);
    }
    let bounded = answers.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    assert!(bounded > 50, "{bounded} of 200");
    assert_eq!(answers[0], StatusCode::UNAUTHORIZED);
    // Who shares the address and has a good key is not kept out.
    assert_eq!(site.get("/api/v1/projects").await.status, StatusCode::OK);
    // Passwords neither.
    let mut bounded = 0;
    for _ in 0..100 {
        let request =
            axum::http::Request::post("/sign-in").body(axum::body::Body::from("login=a&password=b")).unwrap();
        bounded += usize::from(site.send(request).await.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(bounded > 50, "{bounded} of 100");
}
