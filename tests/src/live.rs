//! WebSockets through the router.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::house::{House, host};
use crate::rpc::page;

/// Opens a WebSocket to a tenant's Odoo and talks over it. An Odoo that has
/// none (before 16) says so with a 404, which is printed.
pub async fn check(house: &House, tenant: &str) -> Result<()> {
    let router = &house.platform.router;
    let (status, _) = page(router, &host(tenant), "/websocket/health").await?;
    if status == reqwest::StatusCode::NOT_FOUND {
        println!("  --  WebSocket: this Odoo has none (before 16)");
        return Ok(());
    }
    let port = router.rsplit_once(':').context("a port")?.1;
    let mut request = format!("ws://{}:{port}/websocket", host(tenant)).into_client_request()?;
    let origin = format!("http://{}:{port}", host(tenant));
    request.headers_mut().insert("Origin", origin.parse()?);
    let stream = tokio::net::TcpStream::connect(router.as_str()).await.context("connect to the router")?;
    let (mut socket, answer) =
        tokio_tungstenite::client_async(request, stream).await.context("open the WebSocket")?;
    ensure!(answer.status() == 101, "the upgrade was answered with {}", answer.status());
    let subscribe = r#"{"event_name":"subscribe","data":{"channels":["heddle_walk"],"last":0}}"#;
    socket.send(Message::text(subscribe)).await.context("send over the WebSocket")?;
    socket.send(Message::Ping(b"heddle".as_slice().into())).await.context("ping over the WebSocket")?;
    let pong = tokio::time::timeout(Duration::from_secs(20), async {
        while let Some(message) = socket.next().await {
            if let Message::Pong(bytes) = message? {
                return Ok(bytes);
            }
        }
        anyhow::bail!("the WebSocket was closed")
    });
    let bytes = pong.await.context("no pong came")??;
    ensure!(&bytes[..] == b"heddle", "another pong came");
    socket.close(None).await.context("close the WebSocket")?;
    println!("  ok  WebSocket through the router: upgraded, subscribed, ping answered by Odoo");
    Ok(())
}
