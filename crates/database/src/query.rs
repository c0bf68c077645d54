use std::str::FromStr;

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};
use uuid::Uuid;

use crate::{Error, Result};

/// What a query can run on: a connection or a transaction.
pub trait On: GenericClient {}

impl<C: GenericClient> On for C {}

pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

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
        let fault = |source| Error::Query { query: self.name, source };
        let statement = on.prepare_cached(self.sql).await.map_err(fault)?;
        let rows = on.query(&statement, parameters).await.map_err(fault)?;
        rows.iter().map(|row| T::read(&Columns { query: self.name, row })).collect()
    }

    /// The first row, if there is one.
    pub async fn first<T: Read>(&self, on: &impl On, parameters: Parameters<'_>) -> Result<Option<T>> {
        Ok(self.all(on, parameters).await?.into_iter().next())
    }

    /// The row of a query that always has one.
    pub async fn one<T: Read>(&self, on: &impl On, parameters: Parameters<'_>) -> Result<T> {
        let fault = |source| Error::Query { query: self.name, source };
        let statement = on.prepare_cached(self.sql).await.map_err(fault)?;
        let row = on.query_one(&statement, parameters).await.map_err(fault)?;
        T::read(&Columns { query: self.name, row: &row })
    }

    /// How many rows it has changed.
    pub async fn run(&self, on: &impl On, parameters: Parameters<'_>) -> Result<u64> {
        let fault = |source| Error::Query { query: self.name, source };
        let statement = on.prepare_cached(self.sql).await.map_err(fault)?;
        on.execute(&statement, parameters).await.map_err(fault)
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
