//! WebSockets: once both sides have agreed, bytes pass unread.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::Answer;
use crate::headers;
use crate::listen::{Connection, Shared};

/// Hands Odoo's consent to the client, and what follows from each to the other
/// until one of them ends it or the router stops. The client's place among the
/// connections is kept for as long.
pub(crate) fn switch(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    client: OnUpgrade,
    consent: &mut Response<Incoming>,
) -> Response<Answer> {
    let upstream = hyper::upgrade::on(&mut *consent);
    let stop = shared.stop.clone();
    let connection = Arc::clone(connection);
    shared.tasks.spawn(async move {
        let _place = connection;
        let pass = async {
            let (client, upstream) = tokio::try_join!(client, upstream)?;
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            // How it ends is between the two: a broken connection is no fault here.
            let passed = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            tracing::debug!(?passed, "a WebSocket has ended");
            Ok::<_, hyper::Error>(())
        };
        if let Some(Err(error)) = stop.run_until_cancelled(pass).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "switch to a WebSocket");
        }
    });
    let mut response = Response::new(Answer::Own(Full::default()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    std::mem::swap(response.headers_mut(), consent.headers_mut());
    headers::strip_response(response.headers_mut());
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}
