//! A browser without a script: keeps cookies, follows nothing.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use model::access::Role;
use protocol::people::{NewUser, SetMember};

use crate::site::{Answered, Site};

pub const PASSWORD: &str = "weft and warp and weft";

pub struct Browser<'a> {
    pub site: &'a Site,
    pub cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    pub fn new(site: &'a Site) -> Self {
        Self { site, cookies: Vec::new() }
    }

    /// Signed in, with a password of their own.
    pub async fn signed_in(site: &'a Site) -> Self {
        let mut browser = Self::new(site);
        let one_time = site.control.bootstrap_admin().await.unwrap().unwrap();
        browser.sign_in(&one_time).await;
        browser.choose_password().await;
        browser
    }

    /// Somebody else, made for this, with a role in the project `demo` if one is
    /// named.
    pub async fn of(site: &'a Site, login: &str, role: Option<Role>) -> Self {
        let new = NewUser { login: login.into(), operator: false };
        let one_time = site.control.create_user(new).await.unwrap().one_time_password;
        if let Some(role) = role {
            site.control.set_member("demo", login, SetMember { role }, None).await.unwrap();
        }
        let mut browser = Self::new(site);
        browser.sign_in_as(login, &one_time).await;
        browser.choose_password().await;
        browser
    }

    pub async fn choose_password(&mut self) {
        let csrf = self.csrf("/password").await;
        let fields = [("csrf", csrf.as_str()), ("password", PASSWORD), ("again", PASSWORD)];
        let set = self.post("/password", &fields).await;
        assert_eq!(set.header("location"), "/tenants", "{}", set.text);
    }

    pub async fn sign_in(&mut self, password: &str) -> Answered {
        self.sign_in_as("admin", password).await
    }

    pub async fn sign_in_as(&mut self, login: &str, password: &str) -> Answered {
        let csrf = self.csrf("/sign-in").await;
        self.post("/sign-in", &[("csrf", &csrf), ("login", login), ("password", password)]).await
    }

    /// A page that is there.
    pub async fn page(&mut self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        page.text
    }

    /// Sends a form of the page at `page`, with its token.
    pub async fn submit(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answered {
        let csrf = self.csrf(page).await;
        self.post(path, &[&[("csrf", csrf.as_str())], fields].concat()).await
    }

    pub async fn send(&mut self, request: Request<Body>) -> Answered {
        let (mut head, body) = request.into_parts();
        head.headers.insert("host", "console.test".parse().unwrap());
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            head.headers.insert("cookie", cookies.join("; ").parse().unwrap());
        }
        let answered = self.site.send(Request::from_parts(head, body)).await;
        for header in answered.headers.get_all("set-cookie") {
            let (name, value) = header.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.into(), value.into()));
            }
        }
        answered
    }

    pub async fn get(&mut self, path: &str) -> Answered {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answered {
        self.send(form(path, fields)).await
    }

    /// The token in the forms of a page.
    pub async fn csrf(&mut self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        hidden(&page.text, "csrf")
    }
}

pub fn form(path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let encoded = |text: &str| {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    let body: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body.join("&")))
        .unwrap()
}

/// A hidden field of a page's first form that has it.
#[track_caller]
pub fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no field {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}
