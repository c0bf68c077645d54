use std::future::Future;
use std::str::FromStr;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};
use uuid::Uuid;

use crate::{Claims, Error, Result};

/// A query's parameters, from $1 on.
pub type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What a query can run on: a connection or a transaction. Statements are
/// prepared once for each connection.
pub trait On: Sync {
    /// Who acts.
    fn claims(&self) -> &Claims;

    fn rows(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Vec<Row>, tokio_postgres::Error>> + Send;

    /// How many rows it has changed.
    fn changed(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<u64, tokio_postgres::Error>> + Send;
}

/// One file under `queries/`.
pub(crate) struct Query {
    pub name: &'static str,
    pub sql: &'static str,
}

macro_rules! query {
    ($name:literal) => {
        $crate::query::Query { name: $name, sql: include_str!(concat!("../queries/", $name, ".sql")) }
    };
}
pub(crate) use query;

impl Query {
    pub async fn all<T: Read>(&self, on: &impl On, parameters: Parameters<'_>) -> Result<Vec<T>> {
        let rows = on.rows(self.sql, parameters).await.map_err(|source| self.fault(source))?;
        rows.iter().map(|row| T::read(&Columns { query: self.name, row })).collect()
    }

    /// The first row, if there is one.
    pub async fn first<T: Read>(&self, on: &impl On, parameters: Parameters<'_>) -> Result<Option<T>> {
        Ok(self.all(on, parameters).await?.into_iter().next())
    }

    /// The row of a query that always has one.
    pub async fn one<T: Read>(&self, on: &impl On, parameters: Parameters<'_>) -> Result<T> {
        self.first(on, parameters).await?.ok_or(Error::NoRow { query: self.name })
    }

    /// How many rows it has changed.
    pub async fn run(&self, on: &impl On, parameters: Parameters<'_>) -> Result<u64> {
        on.changed(self.sql, parameters).await.map_err(|source| self.fault(source))
    }

    fn fault(&self, source: tokio_postgres::Error) -> Error {
        Error::Query { query: self.name, source }
    }
}

/// Made from a row.
pub(crate) trait Read: Sized {
    fn read(columns: &Columns<'_>) -> Result<Self>;
}

pub(crate) struct Columns<'a> {
    query: &'static str,
    row: &'a Row,
}

impl<'a> Columns<'a> {
    pub fn new(query: &'static str, row: &'a Row) -> Self {
        Self { query, row }
    }

    pub fn get<T: FromSql<'a>>(&self, column: &'static str) -> Result<T> {
        self.row.try_get(column).map_err(|source| self.fault(column, source))
    }

    /// An id.
    pub fn id<T: From<Uuid>>(&self, column: &'static str) -> Result<T> {
        self.get::<Uuid>(column).map(T::from)
    }

    pub fn id_if<T: From<Uuid>>(&self, column: &'static str) -> Result<Option<T>> {
        Ok(self.get::<Option<Uuid>>(column)?.map(T::from))
    }

    /// What is stored as text and has a written form.
    pub fn written<T>(&self, column: &'static str) -> Result<T>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        self.get::<&str>(column)?.parse().map_err(|source| self.fault(column, source))
    }

    /// An array of such texts.
    pub fn all_written<T>(&self, column: &'static str) -> Result<Vec<T>>
    where
        T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
    {
        let texts = self.get::<Vec<&str>>(column)?;
        texts.into_iter().map(|text| text.parse().map_err(|source| self.fault(column, source))).collect()
    }

    /// A count or size that is never negative.
    pub fn size(&self, column: &'static str) -> Result<u64> {
        self.get::<i64>(column)?.try_into().map_err(|source| self.fault(column, source))
    }

    pub fn fault(
        &self,
        column: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Column { query: self.query, column, source: source.into() }
    }
}

/// A query's only column.
pub(crate) struct Only<T>(pub T);

impl<T: for<'a> FromSql<'a>> Read for Only<T> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let first = columns.row.try_get(0).map_err(|source| columns.fault("1", source))?;
        Ok(Self(first))
    }
}

/// Sizes are stored as bigint; none comes near its end.
pub(crate) fn stored(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
