//! `billhook reports`: what the billing platforms are told, and whether they have heard it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::api::Server;
use super::{Done, say};

/// Columns of the list: heading and field.
const COLUMNS: [(&str, &str); 9] = [
    ("ID", "id"),
    ("SOURCE", "source"),
    ("SERVICE", "service_id"),
    ("TYPE", "type"),
    ("STATUS", "status"),
    ("SEQ", "seq"),
    ("ATTEMPTS", "attempts"),
    ("NEXT ATTEMPT", "next_attempt_at"),
    ("ERROR", "error"),
];

#[derive(Debug, Args)]
pub(crate) struct Reports {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The latest state of each service, and whether it was heard
    List(List),
    /// One, with what is told
    Show(One),
    /// Send one now, also one that was heard
    Retry(One),
}

#[derive(Debug, Args)]
struct List {
    /// Of this source
    #[arg(long)]
    source: Option<String>,
    /// waiting or heard
    #[arg(long)]
    status: Option<String>,
    /// Of this service
    #[arg(long, value_name = "ID")]
    service: Option<String>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
struct One {
    /// Its id
    id: String,
    /// Print JSON on one line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Reports {
    pub(crate) async fn run(self) -> Done {
        match self.what {
            What::List(list) => list.run().await,
            What::Show(one) => {
                let path = format!("/reports/{}", one.id);
                let shown = one.server.api()?.get(&path, &[]).await?;
                one.print(&shown)
            }
            What::Retry(one) => {
                let path = format!("/reports/{}/retry", one.id);
                let shown = one.server.api()?.post(&path, &json!({})).await?;
                one.print(&shown)
            }
        }
    }
}

impl List {
    async fn run(self) -> Done {
        let filters = [
            ("source", &self.source),
            ("status", &self.status),
            ("service", &self.service),
        ];
        let given = filters
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        let query: Vec<(String, String)> = given.collect();
        let rows = self.server.api()?.all("/reports", &query).await?;
        if self.json {
            for row in &rows {
                say(&row.to_string());
            }
            return Ok(());
        }
        for line in table(&rows) {
            say(&line);
        }
        Ok(())
    }
}

impl One {
    fn print(&self, shown: &Value) -> Done {
        say(&if self.json {
            shown.to_string()
        } else {
            serde_json::to_string_pretty(shown)?
        });
        Ok(())
    }
}

/// Lines under a heading, each column as wide as its widest cell.
fn table(rows: &[Value]) -> Vec<String> {
    let heading = COLUMNS.map(|(heading, _)| heading.to_owned());
    let cells = rows
        .iter()
        .map(|row| COLUMNS.map(|(_, field)| cell(row, field)));
    let lines: Vec<[String; 9]> = std::iter::once(heading).chain(cells).collect();
    let mut widths = [0; 9];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let padded = |line: &[String; 9]| {
        let cells = line.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect()
}

fn cell(row: &Value, field: &str) -> String {
    match row.get(field) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_headings() {
        let rows = [json!({"id": "rep_1", "source": "whmcs", "seq": 12, "error": "no: é"})];
        let lines = table(&rows);
        assert!(lines[0].starts_with("ID     SOURCE  SERVICE"), "{lines:#?}");
        assert!(lines[1].starts_with("rep_1  whmcs   -      "), "{lines:#?}");
        let (seq, error) = (lines[0].find("SEQ"), lines[0].find("ERROR"));
        assert_eq!((lines[1].find("12"), lines[1].find("no:")), (seq, error));
    }
}
