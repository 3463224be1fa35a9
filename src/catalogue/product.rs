//! Products whose templates are compiled, and what they come to for one order. Pure.

use std::net::IpAddr;

use super::context::{Context, Variables};
use super::error::{ProductProblem, RenderError, TextProblem};
use super::period::Period;
use super::policy::{DeviceOnSuspend, DeviceOnTerminate, LicenceOnSuspend};
use super::reads::{Reads, Unread};
use super::scan::lookups;
use super::settings::{HivelocitySettings, OneHSettings, ProductSettings};
use super::template::{Place, Text, shortened};
use crate::domain::OrderedService;
use crate::domain::hostname;
use crate::domain::step::{DEVICE_ID, DEVICE_IP};

/// The longest name that DNS has.
const HOSTNAME_LIMIT: usize = 253;

/// One entry of the catalogue.
#[derive(Clone, Debug)]
pub struct Product {
    /// The billing platform's product id.
    pub id: String,
    /// The source that sells it; none: any.
    pub source: Option<String>,
    /// The device, where one belongs to it.
    pub hivelocity: Option<HivelocityProduct>,
    /// The licences, where some belong to it.
    pub one_h: Option<OneHProduct>,
}

impl Product {
    pub(super) fn compile(settings: ProductSettings) -> Result<Self, Vec<ProductProblem>> {
        let mut compiler = Compiler {
            product: settings.id,
            problems: Vec::new(),
            reads: Reads::default(),
        };
        let hivelocity = settings.hivelocity.map(|device| compiler.device(&device));
        let one_h = settings.one_h.map(|licences| compiler.licences(&licences));
        if !compiler.problems.is_empty() {
            return Err(compiler.problems);
        }
        Ok(Self {
            id: compiler.product,
            source: settings.source,
            hivelocity: hivelocity.flatten(),
            one_h: one_h.flatten(),
        })
    }

    /// What of the order none of the product's templates reads.
    pub fn unread(&self, ordered: &OrderedService) -> Unread {
        let device = self.hivelocity.as_ref().map(|device| &device.reads);
        let licences = self.one_h.as_ref().map(|licences| &licences.reads);
        let parts = device.into_iter().chain(licences);
        parts.fold(Reads::default(), Reads::and).unread(ordered)
    }
}

/// A product's device at Hivelocity.
#[derive(Clone, Debug)]
pub struct HivelocityProduct {
    /// Hivelocity's product.
    pub product_id: i64,
    /// How the device goes dark.
    pub on_suspend: DeviceOnSuspend,
    /// How it ends.
    pub on_terminate: DeviceOnTerminate,
    product: String,
    reads: Reads,
    location: Text,
    os: Text,
    hostname: Text,
    period: Period,
}

/// A device to order, with nothing left to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Hivelocity's product.
    pub product_id: i64,
    /// Facility code.
    pub location: String,
    /// Operating system's name.
    pub os: String,
    /// Host name.
    pub hostname: String,
    /// Billing period.
    pub period: String,
}

impl HivelocityProduct {
    /// The device that an order asks for, under a name that a server can have.
    pub fn render(&self, vars: &Variables<'_>) -> Result<DeviceSpec, RenderError> {
        let mut spec = self.asked(vars)?;
        spec.hostname =
            hostname::mended(&spec.hostname).map_err(|wrong| RenderError::Hostname {
                product: self.product.clone(),
                value: shortened(&spec.hostname),
                wrong,
            })?;
        Ok(spec)
    }

    /// The same in the event's words: its host name may be none.
    pub fn asked(&self, vars: &Variables<'_>) -> Result<DeviceSpec, RenderError> {
        let context = Context::of(vars, &self.reads);
        let renderer = Renderer {
            product: &self.product,
            context: &context,
        };
        let location = renderer.filled(
            &self.location,
            "hivelocity.location",
            "no location; choose one in the order or give the template a default",
        )?;
        let os = renderer.filled(
            &self.os,
            "hivelocity.os",
            "no operating system; choose one in the order or give the template a default",
        )?;
        let hostname = renderer.filled(
            &self.hostname,
            "hivelocity.hostname",
            "the service has no hostname; set one in the billing platform or a template default",
        )?;
        let period = self
            .period
            .for_cycle(&vars.service.billing_cycle)
            .map_err(|problem| RenderError::Cycle {
                product: self.product.clone(),
                problem,
            })?;
        let period = period.to_owned();
        Ok(DeviceSpec {
            product_id: self.product_id,
            location,
            os,
            hostname,
            period,
        })
    }
}

/// A product's licences at 1H.
#[derive(Clone, Debug)]
pub struct OneHProduct {
    /// 1H products.
    pub licenses: Vec<String>,
    /// How they go dark.
    pub on_suspend: LicenceOnSuspend,
    product: String,
    reads: Reads,
    ip: Text,
    label: Text,
    portal_domain: Text,
}

/// What the licences of one order are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenceSpec {
    /// The IP, possibly `{device.ip}`.
    pub ip: String,
    /// Description at 1H.
    pub label: String,
    /// The portal's domain; empty: no portal.
    pub portal_domain: String,
}

impl OneHProduct {
    /// What an order asks for.
    pub fn render(&self, vars: &Variables<'_>) -> Result<LicenceSpec, RenderError> {
        let context = Context::of(vars, &self.reads);
        let renderer = Renderer {
            product: &self.product,
            context: &context,
        };
        let label = renderer.line(&self.label, "one_h.label")?;
        let portal_domain = renderer.line(&self.portal_domain, "one_h.portal_domain")?;
        if !portal_domain.is_empty() {
            renderer.check_domain(&portal_domain, "one_h.portal_domain")?;
        }
        let ip = renderer.line(&self.ip, "one_h.ip")?;
        let needs_ip = !self.licenses.is_empty() || !portal_domain.is_empty();
        if needs_ip || !ip.is_empty() {
            renderer.check_ip(&ip)?;
        }
        Ok(LicenceSpec {
            ip,
            label,
            portal_domain,
        })
    }
}

/// Renders the texts of one product for one order.
struct Renderer<'a> {
    product: &'a str,
    context: &'a Context,
}

impl Renderer<'_> {
    /// A text of one line, possibly empty.
    fn line(&self, text: &Text, key: &'static str) -> Result<String, RenderError> {
        let product = self.product.to_owned();
        let value = text
            .render(self.context)
            .map_err(|problem| RenderError::Text {
                product,
                key,
                problem,
            })?;
        if value.chars().any(char::is_control) {
            return Err(self.unfit(
                &value,
                key,
                "holds a line break or another control character",
            ));
        }
        Ok(value)
    }

    /// A text of one line that says something.
    fn filled(
        &self,
        text: &Text,
        key: &'static str,
        advice: &'static str,
    ) -> Result<String, RenderError> {
        let value = self.line(text, key)?;
        if value.is_empty() {
            return Err(RenderError::Empty {
                product: self.product.to_owned(),
                key,
                advice,
            });
        }
        Ok(value)
    }

    /// A portal's domain is no server's name: it can hold the planned device's marks.
    fn check_domain(&self, name: &str, key: &'static str) -> Result<(), RenderError> {
        if name.len() > HOSTNAME_LIMIT {
            return Err(self.unfit(
                name,
                key,
                "is longer than the 253 characters a host name has",
            ));
        }
        let bare = name.replace(DEVICE_IP, "0").replace(DEVICE_ID, "0");
        let fits = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_');
        if !bare.chars().all(fits) {
            return Err(self.unfit(
                name,
                key,
                "is no host name; letters, digits, dots and dashes are, e.g. srv1.example.com",
            ));
        }
        Ok(())
    }

    fn check_ip(&self, ip: &str) -> Result<(), RenderError> {
        let key = "one_h.ip";
        if ip.is_empty() {
            let advice = "no IP for the licence; the service has no device and the order names \
                          none: set the option or field that the template reads";
            return Err(RenderError::Empty {
                product: self.product.to_owned(),
                key,
                advice,
            });
        }
        if ip != DEVICE_IP && ip.parse::<IpAddr>().is_err() {
            return Err(self.unfit(ip, key, "is no IP address such as 203.0.113.7"));
        }
        Ok(())
    }

    fn unfit(&self, value: &str, key: &'static str, reason: &'static str) -> RenderError {
        RenderError::Unfit {
            product: self.product.to_owned(),
            key,
            value: shortened(value),
            reason,
        }
    }
}

/// Compiles one entry and collects what is wrong with it.
struct Compiler {
    product: String,
    problems: Vec<ProductProblem>,
    /// What the templates read that were compiled since it was last taken.
    reads: Reads,
}

impl Compiler {
    fn device(&mut self, settings: &HivelocitySettings) -> Option<HivelocityProduct> {
        if settings.product_id <= 0 {
            let reason = format!("{} is no product of Hivelocity's", settings.product_id);
            self.value("hivelocity.product_id", reason);
        }
        let location = self.text("hivelocity.location", &settings.location, Place::Device);
        let os = self.text("hivelocity.os", &settings.os, Place::Device);
        let hostname = self.text("hivelocity.hostname", &settings.hostname, Place::Device);
        let period = match Period::from_setting(&settings.period) {
            Ok(period) => Some(period),
            Err(unknown) => {
                self.value("hivelocity.period", unknown.to_string());
                None
            }
        };
        Some(HivelocityProduct {
            product_id: settings.product_id,
            on_suspend: settings.on_suspend,
            on_terminate: settings.on_terminate,
            product: self.product.clone(),
            reads: std::mem::take(&mut self.reads),
            location: location?,
            os: os?,
            hostname: hostname?,
            period: period?,
        })
    }

    fn licences(&mut self, settings: &OneHSettings) -> Option<OneHProduct> {
        let licenses: Vec<String> = settings
            .licenses
            .iter()
            .map(|name| name.trim().to_owned())
            .collect();
        if licenses.iter().any(String::is_empty) {
            self.value("one_h.licenses", "holds an empty name".to_owned());
        }
        for (place, name) in licenses.iter().enumerate() {
            if licenses.iter().skip(place + 1).any(|other| other == name) {
                self.value("one_h.licenses", format!("names {} twice", shortened(name)));
            }
        }
        let ip = self.text("one_h.ip", &settings.ip, Place::Licence);
        let label = self.text("one_h.label", &settings.label, Place::Licence);
        let portal = self.text(
            "one_h.portal_domain",
            &settings.portal_domain,
            Place::Licence,
        );
        Some(OneHProduct {
            licenses,
            on_suspend: settings.on_suspend,
            product: self.product.clone(),
            reads: std::mem::take(&mut self.reads),
            ip: ip?,
            label: label?,
            portal_domain: portal?,
        })
    }

    fn text(&mut self, key: &'static str, source: &str, place: Place) -> Option<Text> {
        match Text::compile(source, place) {
            Ok(text) => {
                self.reads.add(lookups(source));
                Some(text)
            }
            Err(problem) => {
                self.text_problem(key, problem);
                None
            }
        }
    }

    fn text_problem(&mut self, key: &'static str, problem: TextProblem) {
        self.problems.push(ProductProblem::Text {
            product: self.product.clone(),
            key,
            problem,
        });
    }

    fn value(&mut self, key: &'static str, reason: String) {
        self.problems.push(ProductProblem::Value {
            product: self.product.clone(),
            key,
            reason,
        });
    }
}
