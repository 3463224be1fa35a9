//! What can be wrong with a catalogue entry, and with an order for one. Pure data.

/// Every problem of a catalogue, one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct CatalogueError {
    /// The problems, in the order of the configuration; never empty.
    pub problems: Vec<ProductProblem>,
}

fn lines(problems: &[ProductProblem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// One thing that is wrong with one entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductProblem {
    /// The id is empty.
    #[error("products[].id: is empty; write the billing platform's product id")]
    NoId,
    /// The same id stands there twice for the same source.
    #[error(
        "products[{product}]: is listed twice for {source_name}; keep one, or give them different sources"
    )]
    Twice {
        /// The id.
        product: String,
        /// Who sells it.
        source_name: String,
    },
    /// A key's text cannot be used.
    #[error("products[{product}].{key}: {problem}")]
    Text {
        /// The id.
        product: String,
        /// The key below it.
        key: &'static str,
        /// What is wrong.
        problem: TextProblem,
    },
    /// A key has a value that cannot be.
    #[error("products[{product}].{key}: {reason}")]
    Value {
        /// The id.
        product: String,
        /// The key below it.
        key: &'static str,
        /// What is wrong and what is right.
        reason: String,
    },
}

/// What is wrong with a template, or with what came out of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextProblem {
    /// It cannot be read.
    #[error("is not a template that can be read: {detail}")]
    Syntax {
        /// Where and why.
        detail: String,
    },
    /// It names something that does not exist.
    #[error("unknown variable {name}; known are {known}")]
    UnknownVariable {
        /// The name.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// It asks for the device before there is one.
    #[error("{name} is not known yet when the device is ordered; only one_h templates can use it")]
    NoDeviceYet {
        /// The name.
        name: String,
    },
    /// It changes the device's IP or id, which is put in only after planning.
    #[error(
        "device.ip and device.id are put in after planning and must be used as they are; take the filter or the cutting away"
    )]
    ChangesDevice,
    /// It uses a filter that does not exist.
    #[error("unknown filter {name}; known are {known}")]
    UnknownFilter {
        /// The name.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// It uses a test that does not exist.
    #[error("unknown test {name}; known are {known}")]
    UnknownTest {
        /// The name.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// It uses a statement that does not belong in a product.
    #[error("unknown statement {name}; known are {known}")]
    UnknownStatement {
        /// The name.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// It calls something.
    #[error("{name}() cannot be called; templates have variables and filters, no functions")]
    Call {
        /// The name.
        name: String,
    },
    /// A value was looked up that is not there, e.g. a key of a table written in the template.
    #[error(
        "a lookup found nothing; add the missing value to the template or give it a default with `or`"
    )]
    Missing,
    /// An option or a field that it uses is too long.
    #[error("{name} is longer than {limit} bytes; shorten it in the billing platform")]
    InputTooLong {
        /// The variable.
        name: String,
        /// How long it may be.
        limit: usize,
    },
    /// An option or a field says what only a template may.
    #[error(
        "{name} holds the text {{device.ip}} or {{device.id}}, which only templates may use; change it in the billing platform"
    )]
    ForgedMark {
        /// The variable.
        name: String,
    },
    /// What comes out is too long.
    #[error("what comes out is longer than {limit} bytes, or takes too long to make")]
    TooLong {
        /// How long it may be.
        limit: usize,
    },
    /// Anything else.
    #[error("cannot be worked out: {detail}")]
    Failed {
        /// Why.
        detail: String,
    },
}

/// Why a product cannot be ordered as the event asks. Each goes to a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A template failed with this order's values.
    #[error("products[{product}].{key}: {problem}")]
    Text {
        /// The product's id.
        product: String,
        /// The key below it.
        key: &'static str,
        /// What is wrong.
        problem: TextProblem,
    },
    /// Nothing came out where something is needed.
    #[error("products[{product}].{key}: {advice}")]
    Empty {
        /// The product's id.
        product: String,
        /// The key below it.
        key: &'static str,
        /// What is missing and where to set it.
        advice: &'static str,
    },
    /// What came out cannot be sent.
    #[error("products[{product}].{key}: {value:?} {reason}")]
    Unfit {
        /// The product's id.
        product: String,
        /// The key below it.
        key: &'static str,
        /// What came out, shortened.
        value: String,
        /// Why it cannot be, and what can.
        reason: &'static str,
    },
    /// The host name is none that a server can have.
    #[error(
        "the host name {value:?} {wrong}; send it again with a full name such as srv1.example.com \
         (products[{product}].hivelocity.hostname), or cancel this run"
    )]
    Hostname {
        /// The product's id.
        product: String,
        /// What came out, shortened.
        value: String,
        /// What is wrong.
        wrong: crate::domain::hostname::NoHostname,
    },
    /// The billing cycle is none that Hivelocity has.
    #[error("products[{product}].hivelocity.period: {problem}")]
    Cycle {
        /// The product's id.
        product: String,
        /// Which cycle, and what to do.
        problem: super::period::UnknownPeriod,
    },
}
