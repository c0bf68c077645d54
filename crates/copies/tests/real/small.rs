//! Small databases of our own making.

use bytes::Bytes;
use copies::{CopyError, PlanError, Rules, text};
use futures::{SinkExt, TryStreamExt};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::scratch::{Scratch, column};

const SCHEMA: &str = "
    CREATE TABLE person (
        id serial PRIMARY KEY, name text NOT NULL, login varchar(40) UNIQUE, email text,
        boss_id int REFERENCES person, notes jsonb, photo bytea,
        twice int GENERATED ALWAYS AS (id * 2) STORED, CHECK (name <> ''));
    CREATE INDEX ON person (email);
    CREATE TABLE visit (id serial PRIMARY KEY, person_id int NOT NULL REFERENCES person ON DELETE CASCADE,
        name text, at timestamp DEFAULT now());
    CREATE TABLE queue (id serial PRIMARY KEY, what text);
    CREATE TABLE queue_part (queue_id int NOT NULL REFERENCES queue, person_id int REFERENCES person);
    CREATE TABLE empty ();
    CREATE VIEW names AS SELECT name FROM person;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM person;
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
    CREATE TRIGGER quiet BEFORE INSERT ON visit FOR EACH ROW EXECUTE FUNCTION shout();
    ALTER TABLE visit DISABLE TRIGGER quiet;
    INSERT INTO person (name, login, email, boss_id, notes, photo)
        SELECT 'Ada Lovelace ' || n, 'ada' || n || '@acme.example', 'ada' || n || '@acme.example',
               nullif(n - 1, 0), '{\"said\": \"my secret words\"}', 'raw'
        FROM generate_series(1, 5000) n;
    INSERT INTO visit (person_id, name) SELECT id, name FROM person;
    INSERT INTO queue (what) VALUES ('send this secretly');
    INSERT INTO queue_part VALUES (1, 1);";

const QUEUE: &str = "[[rule]]\ntable = \"queue\"\ncolumn = \"*\"\ntransform = \"drop\"\nwhy = \"a queue\"\n\
                     [[rule]]\ntable = [\"person\", \"visit\"]\ncolumn = \"name\"\ntransform = \"name\"\nwhy = \"who\"\n\
                     [[rule]]\ntable = \"person\"\ncolumn = \"login\"\ntransform = \"email\"\nwhy = \"who\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_whole_and_nobodys() {
    let scratch = Scratch::new();
    let source = scratch.create("source", "template0").await;
    let before = scratch.run(&source, SCHEMA).await;
    let target = scratch.create("target", "template0").await;
    let rules = Rules::shipped().below(Rules::parse("own.toml", QUEUE).unwrap());
    let copied = scratch.copy(&source, &target, &rules).await.unwrap();
    assert_eq!(copied.rows, 10_000);
    assert_eq!(copied.left_out.iter().map(|(table, _)| table.as_str()).collect::<Vec<_>>(), ["queue", "queue_part"]);

    let after = scratch.run(&target, "").await;
    let one = async |sql: &str| column(&after, sql).await.concat();
    // One person is one person everywhere, and two are two.
    assert_eq!(one("SELECT count(*)::text FROM person p JOIN visit v ON v.person_id = p.id AND v.name = p.name").await, "5000");
    assert_eq!(one("SELECT count(DISTINCT login)::text FROM person WHERE login LIKE '%@example.%'").await, "5000");
    assert_eq!(one("SELECT count(*)::text FROM person WHERE boss_id = id - 1 AND twice = id * 2").await, "4999");
    let rows = "SELECT p::text || v::text FROM person p, visit v WHERE p.id = 7 AND v.id = 7";
    let row = one(rows).await;
    for secret in ["Ada", "Lovelace", "acme.example", "secret", "726177"] {
        assert!(!row.contains(secret), "{row}");
        assert!(column(&before, rows).await.concat().contains(secret));
    }
    assert_eq!(one("SELECT string_agg(what, '') FROM queue").await, "");
    // What PostgreSQL itself knows of it is the same.
    for sql in [
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT conrelid::regclass || pg_get_constraintdef(oid) || convalidated FROM pg_constraint \
         WHERE connamespace = 'public'::regnamespace ORDER BY 1",
        "SELECT pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT (nextval('person_id_seq') + 1)::text",
        "SELECT count::text FROM counted",
    ] {
        assert_eq!(column(&after, sql).await, column(&before, sql).await, "{sql}");
    }
    let again = scratch.copy(&source, &target, &rules).await.unwrap_err();
    assert!(matches!(again, CopyError::NotEmpty(_)), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_is_not_copied() {
    let scratch = Scratch::new();
    let source = scratch.create("source", "template0").await;
    let client = scratch.run(&source, "CREATE TABLE note (id tsvector NOT NULL, name text)").await;
    let target = scratch.create("target", "template0").await;
    let refused = async || match scratch.copy(&source, &target, &Rules::shipped()).await {
        Err(CopyError::Plan(error)) => error,
        other => panic!("{other:?}"),
    };
    let error = refused().await;
    assert_eq!(error.to_string(), "no rule says what becomes of note.id");
    assert!(error.hint().contains("table = \"note\", column = \"id\""), "{}", error.hint());
    client.batch_execute("CREATE EXTENSION postgres_fdw; CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw").await.unwrap();
    assert!(matches!(refused().await, PlanError::Foreign(what) if what == "foreign server other"));
    let after = scratch.run(&target, "").await;
    assert_eq!(column(&after, "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace").await, [""; 0]);
}

/// Our form of COPY's text against PostgreSQL's, in both directions.
#[tokio::test(flavor = "multi_thread")]
async fn postgresql_reads_texts_as_we_write_them() {
    let scratch = Scratch::new();
    let database = scratch.create("source", "template0").await;
    let client = scratch.run(&database, "CREATE TABLE kept (id int, text text)").await;
    let mut runner = TestRunner::default();
    let texts = prop::collection::vec(any::<char>().prop_filter("not in PostgreSQL", |c| *c != '\0'), 0..60)
        .prop_map(|letters| letters.into_iter().collect::<String>());
    let escapes = "[\\\\nrtbfvN\n\r\t\u{8}\u{b}\u{c}.x0-9]{0,12}";
    let strategy = prop::option::weighted(0.95, prop_oneof![texts, escapes]);
    let wanted: Vec<Option<String>> =
        (0..2_000).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    let mut lines = Vec::new();
    for (id, value) in wanted.iter().enumerate() {
        lines.extend_from_slice(format!("{id}\t").as_bytes());
        match value {
            Some(value) => text::encode(value.as_bytes(), &mut lines),
            None => lines.extend_from_slice(text::NULL),
        }
        lines.push(b'\n');
    }
    let mut sink = Box::pin(client.copy_in("COPY kept FROM STDIN").await.unwrap());
    sink.send(Bytes::from(lines)).await.unwrap();
    sink.as_mut().finish().await.unwrap();
    let rows = client.query("SELECT text FROM kept ORDER BY id", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<Option<String>>>(), wanted);

    let rows = client.copy_out("COPY (SELECT text FROM kept ORDER BY id) TO STDOUT").await.unwrap();
    let lines: Vec<u8> = rows.try_collect::<Vec<_>>().await.unwrap().concat();
    let read = lines.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let value = text::decode(line.strip_suffix(b"\n").unwrap()).unwrap();
        value.map(|value| String::from_utf8(value.into_owned()).unwrap())
    });
    assert_eq!(read.collect::<Vec<_>>(), wanted);
}
