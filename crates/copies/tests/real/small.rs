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
    INSERT INTO queue_part VALUES (1, 1);
    REFRESH MATERIALIZED VIEW counted;";

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
    assert_eq!(
        copied.left_out.iter().map(|(table, _)| table.as_str()).collect::<Vec<_>>(),
        ["queue", "queue_part"]
    );

    let after = scratch.run(&target, "").await;
    let one = async |sql: &str| column(&after, sql).await.concat();
    // One person is one person everywhere, and two are two.
    assert_eq!(
        one("SELECT count(*)::text FROM person p JOIN visit v ON v.person_id = p.id AND v.name = p.name")
            .await,
        "5000"
    );
    assert_eq!(
        one("SELECT count(DISTINCT login)::text FROM person WHERE login LIKE '%@example.%'").await,
        "5000"
    );
    assert_eq!(
        one("SELECT count(*)::text FROM person WHERE boss_id = id - 1 AND twice = id * 2").await,
        "4999"
    );
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
    client
        .batch_execute("CREATE EXTENSION postgres_fdw; CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw")
        .await
        .unwrap();
    assert!(matches!(refused().await, PlanError::Foreign(what) if what == "foreign server other"));
    let after = scratch.run(&target, "").await;
    assert_eq!(
        column(&after, "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace")
            .await,
        [""; 0]
    );
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

const BOOKS: &str = "
    CREATE TABLE account_move (id serial PRIMARY KEY, name text, amount_total numeric, reversed_entry_id int);
    CREATE TABLE account_move_line (id serial PRIMARY KEY, move_id int REFERENCES account_move, debit numeric,
        credit numeric, balance numeric, amount_residual numeric, price_unit double precision);
    CREATE TABLE account_partial_reconcile (id serial PRIMARY KEY, debit_move_id int REFERENCES account_move_line,
        credit_move_id int REFERENCES account_move_line, amount numeric);
    -- An invoice of 100.07 in three lines and a payment of 60.05, three hundred times.
    INSERT INTO account_move (id, name, amount_total)
        SELECT n, 'INV/' || n, CASE n % 2 WHEN 1 THEN 100.07 ELSE 60.05 END FROM generate_series(1, 600) n;
    INSERT INTO account_move_line (move_id, debit, credit, balance, amount_residual, price_unit)
        SELECT n, a.d, a.c, a.d - a.c, a.r, 33.3
        FROM generate_series(1, 600) n, LATERAL (VALUES
            (1, 100.07, 0, 40.02), (1, 0, 33.33, 0), (1, 0, 66.74, 0), (0, 60.05, 0, 0), (0, 0, 60.05, 0)
        ) a (odd, d, c, r) WHERE a.odd = n % 2;
    INSERT INTO account_partial_reconcile (debit_move_id, credit_move_id, amount)
        SELECT i.id, p.id, 60.05 FROM account_move_line i JOIN account_move_line p ON p.move_id = i.move_id + 1
        WHERE i.debit = 100.07 AND p.credit = 60.05;
    UPDATE account_move SET reversed_entry_id = 1 WHERE id = 599;";

/// Every sum and difference holds, and no amount is what it was.
#[tokio::test(flavor = "multi_thread")]
async fn amounts_change_together() {
    let scratch = Scratch::new();
    let source = scratch.create("source", "template0").await;
    let before = scratch.run(&source, BOOKS).await;
    let target = scratch.create("target", "template0").await;
    scratch.copy(&source, &target, &Rules::shipped()).await.unwrap();
    let after = scratch.run(&target, "").await;
    for (sql, holds) in [
        (
            "SELECT count(*)::text FROM (SELECT FROM account_move_line GROUP BY move_id HAVING sum(debit) <> sum(credit)) m",
            true,
        ),
        ("SELECT count(*)::text FROM account_move_line WHERE balance <> debit - credit", true),
        (
            "SELECT count(*)::text FROM account_move m JOIN account_move_line l ON l.move_id = m.id AND l.debit > 0 \
             WHERE m.amount_total <> l.debit",
            true,
        ),
        (
            "SELECT count(*)::text FROM account_partial_reconcile p JOIN account_move_line d ON d.id = p.debit_move_id \
             WHERE d.amount_residual <> d.debit - p.amount",
            true,
        ),
        (
            "SELECT count(*)::text FROM account_partial_reconcile p JOIN account_move_line c ON c.id = p.credit_move_id \
             WHERE p.amount <> c.credit",
            true,
        ),
        ("SELECT count(*)::text FROM account_move WHERE amount_total IN (100.07, 60.05)", false),
        (
            "SELECT count(*)::text FROM account_move_line WHERE price_unit NOT BETWEEN 26.6 AND 40 OR price_unit = 33.3",
            false,
        ),
    ] {
        assert_eq!(column(&after, sql).await, ["0"], "{sql}");
        assert_eq!(column(&before, sql).await == ["0"], holds, "{sql}");
    }
    let same = "SELECT (count(DISTINCT amount_total) = 1)::text FROM account_move WHERE id IN (1, 599)";
    assert_eq!(column(&after, same).await, ["true"]);
    let many = "SELECT (count(DISTINCT amount_total) > 100)::text FROM account_move";
    assert_eq!(column(&after, many).await, ["true"]);
}
