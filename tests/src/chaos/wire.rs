//! A wire to control that can be told to lose replies: the request arrives, is
//! carried out, and the connection ends before its answer has come through.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub struct Wire {
    pub address: String,
    to_lose: Arc<AtomicI64>,
    lost: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Wire {
    /// Listens on a port of its own and passes on to `control`.
    pub async fn to(control: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen for a wire")?;
        let address = listener.local_addr()?.to_string();
        let (to_lose, lost) = (Arc::<AtomicI64>::default(), Arc::<AtomicU64>::default());
        let (losing, counted) = (to_lose.clone(), lost.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (control, losing, counted) = (control.clone(), losing.clone(), counted.clone());
                tokio::spawn(async move {
                    // An end that is gone ends the other.
                    let _ = pass(client, &control, &losing, &counted).await;
                });
            }
        });
        Ok(Self { address, to_lose, lost, task })
    }

    /// The next so many answers are lost.
    pub fn lose(&self, replies: i64) {
        self.to_lose.fetch_add(replies, Ordering::Relaxed);
    }

    /// How many were.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// From now on every answer comes through.
    pub fn mend(&self) {
        self.to_lose.store(0, Ordering::Relaxed);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut client: TcpStream,
    control: &str,
    to_lose: &AtomicI64,
    lost: &AtomicU64,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(control).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut from_server) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => match read? {
                0 => return Ok(()),
                read => server.write_all(&from_client[..read]).await?,
            },
            read = server.read(&mut from_server) => match read? {
                0 => return Ok(()),
                // The answer is here, so the request was carried out: nobody hears of it.
                _ if take(to_lose) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                read => client.write_all(&from_server[..read]).await?,
            },
        }
    }
}

fn take(left: &AtomicI64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left > 0).then_some(left - 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lost_reply_is_of_a_request_that_arrived() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Wire::to(echo.local_addr().unwrap().to_string()).await.unwrap();
        let arrived = Arc::<AtomicU64>::default();
        let seen = arrived.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                let mut bytes = [0; 4];
                while stream.read_exact(&mut bytes).await.is_ok() {
                    seen.fetch_add(1, Ordering::Relaxed);
                    stream.write_all(&bytes).await.unwrap();
                }
            }
        });
        let ask = async || {
            let mut stream = TcpStream::connect(&wire.address).await.unwrap();
            stream.write_all(b"ping").await.unwrap();
            let mut answer = Vec::new();
            let mut bytes = [0; 4];
            if stream.read_exact(&mut bytes).await.is_ok() {
                answer.extend(bytes);
            }
            answer
        };
        assert_eq!(ask().await, b"ping");
        wire.lose(1);
        assert_eq!(ask().await, b"");
        assert_eq!(ask().await, b"ping");
        assert_eq!((wire.lost(), arrived.load(Ordering::Relaxed)), (1, 3));
    }
}
