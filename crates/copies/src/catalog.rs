//! What a database holds, as rules and copies need to know it.

use std::collections::HashMap;

use tokio_postgres::Client;

use crate::database::{DatabaseError, query};

#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// By schema and name.
    pub tables: Vec<Table>,
    pub sequences: Vec<Sequence>,
    /// What stands in the way of a copy: servers of other databases, whose
    /// passwords would come along.
    pub refused: Vec<String>,
    pub large_objects: i64,
    /// `(model, name)` of the installed modules' fields is known.
    pub is_odoo: bool,
    /// The major number of the installed `base`, such as 11.
    pub series: Option<u32>,
    /// Names of the installed modules.
    pub modules: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// By PostgreSQL's last count; what progress is measured in.
    pub bytes: i64,
    /// Odoo throws its rows away after a while.
    pub transient: bool,
    /// A parent of partitions, whose rows are in those.
    pub partitioned: bool,
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// `character varying(5)`
    pub type_name: String,
    pub sort: Sort,
    pub nullable: bool,
    /// At most so many characters.
    pub limit: Option<usize>,
    /// Computed by PostgreSQL; never copied.
    pub generated: bool,
    /// Part of a unique index.
    pub unique: bool,
    /// The table that a foreign key of this one column leads to.
    pub references: Option<u32>,
    /// What Odoo calls it: `char`, `many2one`, `selection`…
    pub field: Option<String>,
    /// A text for each language.
    pub translated: bool,
}

/// Sorts of types, of which rules speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Numbers that name rows: of a primary key or of a foreign one.
    Key,
    Text,
    Json,
    Binary,
    Integer,
    Number,
    Boolean,
    Date,
    Time,
    Uuid,
    Other,
}

impl Sort {
    pub fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Text => "text",
            Self::Json => "json",
            Self::Binary => "binary",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Time => "time",
            Self::Uuid => "uuid",
            Self::Other => "other",
        }
    }

    /// By the name of the base type.
    fn of(base: &str, is_key: bool) -> Self {
        match base {
            "int2" | "int4" | "int8" if is_key => Self::Key,
            "text" | "varchar" | "bpchar" | "citext" | "name" | "xml" => Self::Text,
            "json" | "jsonb" => Self::Json,
            "bytea" => Self::Binary,
            "int2" | "int4" | "int8" => Self::Integer,
            "numeric" | "float4" | "float8" | "money" => Self::Number,
            "bool" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" | "timestamptz" | "time" | "timetz" | "interval" => Self::Time,
            "uuid" => Self::Uuid,
            _ => Self::Other,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Sequence {
    pub schema: String,
    pub name: String,
    pub last: Option<i64>,
}

impl Table {
    /// As rules name it: `res_partner`, or `other.table` outside of `public`.
    pub fn label(&self) -> String {
        if self.schema == "public" { self.name.clone() } else { format!("{}.{}", self.schema, self.name) }
    }

    pub fn quoted(&self) -> String {
        format!("{}.{}", postgres::quote_identifier(&self.schema), postgres::quote_identifier(&self.name))
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// A table that nobody has looked at, of columns and their types' names.
    pub fn sample(name: &str, columns: &[(&str, &str)]) -> Self {
        let column = |(name, base): &(&str, &str)| Column {
            name: (*name).into(),
            type_name: (*base).into(),
            sort: Sort::of(base, *name == "id"),
            nullable: *name != "id",
            limit: None,
            generated: false,
            unique: *name == "id",
            references: None,
            field: None,
            translated: false,
        };
        Self {
            oid: 1,
            schema: "public".into(),
            name: name.into(),
            bytes: 0,
            transient: false,
            partitioned: false,
            columns: columns.iter().map(column).collect(),
        }
    }
}

const COLUMNS: &str = include_str!("catalog/columns.sql");
const FIELDS: &str = include_str!("catalog/fields.sql");
const SEQUENCES: &str = include_str!("catalog/sequences.sql");
const REFUSED: &str = include_str!("catalog/refused.sql");

impl Catalog {
    /// Reads it with whatever snapshot the connection has.
    pub async fn read(client: &Client) -> Result<Self, DatabaseError> {
        let mut tables: Vec<Table> = Vec::new();
        for row in query(client, "list the columns", COLUMNS).await? {
            let oid: u32 = row.get("oid");
            if tables.last().is_none_or(|table| table.oid != oid) {
                tables.push(Table {
                    oid,
                    schema: row.get("schema"),
                    name: row.get("table_name"),
                    bytes: row.get("bytes"),
                    transient: false,
                    partitioned: row.get("partitioned"),
                    columns: Vec::new(),
                });
            }
            let (Some(table), Some(name)) = (tables.last_mut(), row.get::<_, Option<String>>("column_name"))
            else {
                continue;
            };
            table.columns.push(Column {
                name,
                type_name: row.get("type_name"),
                sort: Sort::of(row.get("base"), row.get("is_key")),
                nullable: row.get("nullable"),
                limit: row.get::<_, Option<i32>>("characters").and_then(|limit| usize::try_from(limit).ok()),
                generated: row.get("generated"),
                unique: row.get("is_unique"),
                references: row.get("target"),
                field: None,
                translated: false,
            });
        }
        let mut catalog = Self { tables, ..Self::default() };
        for row in query(client, "list the sequences", SEQUENCES).await? {
            let (schema, name, last) = (row.get(0), row.get(1), row.get(2));
            catalog.sequences.push(Sequence { schema, name, last });
        }
        catalog.refused =
            query(client, "look for foreign servers", REFUSED).await?.iter().map(|row| row.get(0)).collect();
        let counted = "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata";
        catalog.large_objects = query(client, "count the large objects", counted).await?[0].get(0);
        if ["ir_model", "ir_model_fields", "ir_module_module"].iter().all(|name| catalog.has(name)) {
            catalog.read_odoo(client).await?;
        }
        Ok(catalog)
    }

    async fn read_odoo(&mut self, client: &Client) -> Result<(), DatabaseError> {
        self.is_odoo = true;
        let mut fields: HashMap<(String, String), (String, bool, bool)> = HashMap::new();
        for row in query(client, "list Odoo's fields", FIELDS).await? {
            fields.insert((row.get(0), row.get(1)), (row.get(2), row.get(3), row.get(4)));
        }
        for table in self.tables.iter_mut().filter(|table| table.schema == "public") {
            for column in &mut table.columns {
                let Some((ttype, translated, transient)) =
                    fields.get(&(table.name.clone(), column.name.clone()))
                else {
                    continue;
                };
                column.field = Some(ttype.clone());
                column.translated = *translated;
                table.transient |= *transient;
                if ttype == "many2one" && column.sort == Sort::Integer {
                    column.sort = Sort::Key;
                }
            }
        }
        let modules = "SELECT name, latest_version FROM public.ir_module_module \
                       WHERE state IN ('installed', 'to upgrade', 'to remove') ORDER BY name";
        for row in query(client, "list the installed modules", modules).await? {
            let (name, version): (String, Option<String>) = (row.get(0), row.get(1));
            if name == "base" {
                let digits = version.unwrap_or_default();
                let digits = digits.trim_start_matches("saas~");
                self.series = digits.split('.').next().and_then(|major| major.parse().ok());
            }
            self.modules.push(name);
        }
        Ok(())
    }

    pub fn has(&self, table: &str) -> bool {
        self.table(table).is_some()
    }

    /// By its label.
    pub fn table(&self, label: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.label() == label)
    }
}
