//! What to provision for a billing product: catalogue entries with their compiled templates.
//!
//! Everything about a template is decided when the catalogue is compiled: an unknown variable, a
//! typing error or a filter that does not exist stops the start, not a paid order. What is left
//! for the moment of an order is what only the order knows, such as an empty hostname. Pure; the
//! settings come in as data and nothing here knows where they were written.

mod context;
mod error;
mod period;
mod policy;
mod product;
mod reads;
mod scan;
mod settings;
mod template;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_render;

use std::collections::HashMap;

pub use context::Variables;
pub use error::{CatalogueError, ProductProblem, RenderError, TextProblem};
pub use period::{Period, UnknownPeriod};
pub use policy::{
    AccountModel, ActAs, CreateClientOn, DeactivateClient, DeviceOnSuspend, DeviceOnTerminate,
    LicenceOnSuspend, OrderWith, SubUserPer, UnknownWord, Word,
};
pub use product::{DeviceSpec, HivelocityProduct, LicenceSpec, OneHProduct, Product};
pub use reads::{Unread, UnreadName};
pub use settings::{HivelocitySettings, OneHSettings, ProductSettings};

/// Every product that this installation sells, found by the billing platform's id.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    products: Vec<Product>,
    by_id: HashMap<String, Vec<usize>>,
}

impl Catalogue {
    /// Compiles and tries every template; all problems found come back together.
    pub fn compile(products: Vec<ProductSettings>) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::default();
        let mut problems = Vec::new();
        for settings in products {
            if let Some(problem) = catalogue.conflict(&settings) {
                problems.push(problem);
                continue;
            }
            match Product::compile(settings) {
                Ok(product) => catalogue.insert(product),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(catalogue)
        } else {
            Err(CatalogueError { problems })
        }
    }

    /// The product that `source` sells under `product_id`; an entry that names the source wins
    /// over one for any source.
    pub fn find(&self, source: &str, product_id: &str) -> Option<&Product> {
        let mut for_any = None;
        for place in self.by_id.get(product_id)? {
            let Some(product) = self.products.get(*place) else {
                continue;
            };
            match product.source.as_deref() {
                Some(named) if named == source => return Some(product),
                Some(_) => {}
                None => for_any = Some(product),
            }
        }
        for_any
    }

    /// Every product, in the order of the configuration.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// Why the entry cannot stand beside those before it.
    fn conflict(&self, settings: &ProductSettings) -> Option<ProductProblem> {
        if settings.id.is_empty() {
            return Some(ProductProblem::NoId);
        }
        let places = self.by_id.get(&settings.id)?;
        let mut others = places.iter().filter_map(|place| self.products.get(*place));
        others
            .any(|other| other.source == settings.source)
            .then(|| ProductProblem::Twice {
                product: settings.id.clone(),
                source_name: settings
                    .source
                    .clone()
                    .unwrap_or_else(|| "any source".to_owned()),
            })
    }

    fn insert(&mut self, product: Product) {
        self.by_id
            .entry(product.id.clone())
            .or_default()
            .push(self.products.len());
        self.products.push(product);
    }
}
