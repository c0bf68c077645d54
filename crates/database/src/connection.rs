use std::sync::Arc;

use deadpool_postgres::Object;
use futures::FutureExt;
use tokio_postgres::{Row, Statement};

use crate::claims::Claims;
use crate::query::{On, Parameters, Query, query};
use crate::{Error, Result};

const SET: Query = query!("claims/set");

/// A connection that says in every transaction who acts. A query outside of one
/// runs in a transaction of its own, in a single round trip.
pub struct Connection {
    client: Object,
    claims: Arc<Claims>,
}

impl Connection {
    pub(crate) fn new(client: Object, claims: Arc<Claims>) -> Self {
        Self { client, claims }
    }

    /// Sent in this order, whoever waits for the answers.
    async fn begin(&self) -> Result<(), tokio_postgres::Error> {
        let set = self.client.prepare_cached(SET.sql).await?;
        let claims = self.claims.values();
        let claims = claims.each_ref().map(|claim| claim as _);
        let (begun, set) = tokio::join!(
            biased;
            self.client.batch_execute("BEGIN"),
            self.client.execute(&set, &claims),
        );
        begun.and(set.map(drop))
    }

    /// `BEGIN`, the claims, the query and `COMMIT` are on their way before the
    /// first of them is answered; once sent, they are carried out to the end.
    async fn alone<T>(
        &self,
        sql: &str,
        run: impl AsyncFnOnce(&Object, &Statement) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, tokio_postgres::Error> {
        let statement = self.client.prepare_cached(sql).await?;
        let set = self.client.prepare_cached(SET.sql).await?;
        let claims = self.claims.values();
        let claims = claims.each_ref().map(|claim| claim as _);
        let (begun, set, done, committed) = tokio::join!(
            biased;
            self.client.batch_execute("BEGIN"),
            self.client.execute(&set, &claims),
            run(&self.client, &statement),
            self.client.batch_execute("COMMIT"),
        );
        begun?;
        set?;
        let done = done?;
        committed?;
        Ok(done)
    }
}

impl On for Connection {
    fn claims(&self) -> &Claims {
        &self.claims
    }

    async fn rows(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.alone(sql, async |client, statement| client.query(statement, parameters).await).await
    }

    async fn changed(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, tokio_postgres::Error> {
        self.alone(sql, async |client, statement| client.execute(statement, parameters).await).await
    }
}

/// A transaction in which the claims are said. Dropped without `commit`, it is
/// rolled back.
pub struct Transaction<'a> {
    connection: &'a mut Connection,
    open: bool,
}

impl On for Transaction<'_> {
    fn claims(&self) -> &Claims {
        &self.connection.claims
    }

    async fn rows(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        let client = &self.connection.client;
        client.query(&client.prepare_cached(sql).await?, parameters).await
    }

    async fn changed(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, tokio_postgres::Error> {
        let client = &self.connection.client;
        client.execute(&client.prepare_cached(sql).await?, parameters).await
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open {
            // Sent at the first poll, before whatever the connection does next;
            // nobody waits for the answer.
            let _ = self.connection.client.batch_execute("ROLLBACK").now_or_never();
        }
    }
}

/// Begins a transaction; dropped without `commit`, it is rolled back.
pub async fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    // Made before anything is sent: given up in between, it is rolled back too.
    let transaction = Transaction { connection, open: true };
    transaction.connection.begin().await.map_err(Error::Begin)?;
    Ok(transaction)
}

pub async fn commit(mut transaction: Transaction<'_>) -> Result<()> {
    transaction.open = false;
    transaction.connection.client.batch_execute("COMMIT").await.map_err(Error::Commit)
}
