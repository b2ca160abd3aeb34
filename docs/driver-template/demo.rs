// SPDX-License-Identifier: LGPL-2.1-or-later
//! A complete driver: domains that exist in memory alone. docs/driver-howto.md walks through it.
use std::ffi::{c_void, CString};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use vireo::safe::{args, bare, c_string, full, ret, string, Call, Driver, Error, Result};
use vireo::*;

type Uuid = [u8; 16];

struct Domain {
    name: String,
    xml: String,
    uuid: Uuid,
    memory_kib: u64,
    id: i32, // -1 while off
    started: Instant,
}

#[derive(Default)]
struct State {
    domains: Vec<Domain>,
    last_id: i32,
}

/// One for the whole process. VIREO_SERIAL keeps operations apart; the lock is never waited for.
struct Memory {
    host: &'static vireo_host,
    space: *mut vireo_space,
    state: Mutex<State>,
}

unsafe impl Sync for Memory {} // a space may be used by any thread

// ---- what the core shows ----

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Lookups, lists, states and events are all answered from this one call.
    fn publish(&self, domain: &Domain, off_reason: i32) {
        let on = domain.id != -1;
        let name = c_string(&domain.name);
        let object = vireo_object {
            size: std::mem::size_of::<vireo_object>() as u32,
            klass: VIREO_CLASS_DOMAIN as u32,
            name: name.as_ptr() as *const c_char,
            uuid: domain.uuid,
            id: domain.id,
            state: if on { VIREO_DOMAIN_RUNNING } else { VIREO_DOMAIN_SHUTOFF },
            reason: if on { VIREO_DOMAIN_RUNNING_BOOTED } else { off_reason },
            flags: VIREO_OBJECT_PERSISTENT as u32,
            vcpus: 1,
            max_memory_kib: domain.memory_kib,
            memory_kib: domain.memory_kib,
            os_type: "hvm\0".as_ptr() as *const c_char,
            event: -1,
            ..zeroed()
        };

        unsafe { (self.host.publish.unwrap())(self.space, &object) }
    }
}

fn refer(call: &Call, domain: &Domain) -> vireo_domain_ref {
    vireo_domain_ref { name: call.text(&domain.name), uuid: domain.uuid, id: domain.id }
}

/// The core has looked the domain up already; it may have gone since.
fn find(state: &mut State, dom: &vireo_domain_ref) -> Result<usize> {
    let name = unsafe { string(dom.name) };

    state
        .domains
        .iter()
        .position(|domain| domain.uuid == dom.uuid)
        .ok_or_else(|| Error(VIREO_ERR_NO_DOMAIN, format!("no domain with matching name '{}'", name)))
}

// ---- the document ----

#[link(name = "xml2")]
extern "C" {
    fn xmlReadMemory(text: *const c_char, len: i32, url: *const c_char, encoding: *const c_char, options: i32)
        -> *mut c_void;
    fn xmlFreeDoc(doc: *mut c_void);
    fn xmlXPathNewContext(doc: *mut c_void) -> *mut c_void;
    fn xmlXPathFreeContext(context: *mut c_void);
    fn xmlXPathEvalExpression(expression: *const c_char, context: *mut c_void) -> *mut c_void;
    fn xmlXPathCastToString(object: *mut c_void) -> *mut c_char;
    fn xmlXPathFreeObject(object: *mut c_void);
    fn free(memory: *mut c_void);
}

const NOERROR_NOWARNING_NONET: i32 = 1 << 5 | 1 << 6 | 1 << 11;

struct Document(*mut c_void);

impl Document {
    fn new(text: &str) -> Option<Document> {
        let (url, len) = ("domain.xml\0".as_ptr() as *const c_char, i32::try_from(text.len()).ok()?);
        let doc = unsafe {
            xmlReadMemory(text.as_ptr() as *const c_char, len, url, std::ptr::null(), NOERROR_NOWARNING_NONET)
        };

        (!doc.is_null()).then(|| Document(doc))
    }

    /// The text at a path; empty where there is none.
    fn text(&self, path: &str) -> String {
        let path = CString::new(path).unwrap();

        unsafe {
            let context = xmlXPathNewContext(self.0);
            let object = xmlXPathEvalExpression(path.as_ptr() as *const c_char, context);
            let raw = xmlXPathCastToString(object);
            let text = string(raw).into_owned();
            free(raw as *mut c_void);
            xmlXPathFreeObject(object);
            xmlXPathFreeContext(context);
            text
        }
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        unsafe { xmlFreeDoc(self.0) }
    }
}

fn fresh_uuid() -> Result<Uuid> {
    let mut uuid = [0; 16];

    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut uuid))
        .map_err(|why| Error(VIREO_ERR_INTERNAL_ERROR, format!("/dev/urandom: {}", why)))?;
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(uuid)
}

fn read_uuid(text: &str) -> Option<Uuid> {
    let digits: String = text.chars().filter(|sign| *sign != '-').collect();
    let mut uuid = [0; 16];

    if digits.len() != 32 || !digits.bytes().all(|sign| sign.is_ascii_hexdigit()) {
        return None;
    }
    for (i, byte) in uuid.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(uuid)
}

fn write_uuid(uuid: &Uuid) -> String {
    let mut text = String::new();

    for (i, byte) in uuid.iter().enumerate() {
        let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
        let _ = write!(text, "{}{:02x}", dash, byte);
    }
    text
}

/// Reads name, uuid and memory, and gives a uuid to a document that has none.
fn read_xml(text: &str) -> Result<Domain> {
    let wrong = |why: &str| Error(VIREO_ERR_XML_ERROR, why.to_string());
    let doc = Document::new(text).ok_or_else(|| wrong("the document is not well-formed"))?;
    let (name, given) = (doc.text("string(/domain/name)"), doc.text("string(/domain/uuid)"));
    let memory = doc.text("string(/domain/memory)");
    let mut xml = text.to_string();

    if name.is_empty() {
        return Err(wrong("a <domain> with a <name> is needed"));
    }
    let uuid = if given.is_empty() { fresh_uuid()? } else { read_uuid(&given).ok_or_else(|| wrong("the uuid is malformed"))? };
    if given.is_empty() {
        let end = xml.rfind("</domain>").ok_or_else(|| wrong("a <domain> with a <name> is needed"))?;
        xml.insert_str(end, &format!("<uuid>{}</uuid>", write_uuid(&uuid)));
    }
    Ok(Domain { name, xml, uuid, memory_kib: memory.parse().unwrap_or(65536), id: -1, started: Instant::now() })
}

// ---- operations ----

fn conn_open(driver: &'static Memory, _: &Call, args: &vireo_conn_open_args, ret: &mut vireo_conn_open_ret) -> Result<()> {
    if unsafe { string(args.uri) } != "demo:///default" {
        return Err(Error(VIREO_ERR_INVALID_ARG, "the only URI is demo:///default".to_string()));
    }
    ret.conn = driver as *const Memory as *mut c_void;
    ret.space = driver.space as _;
    Ok(())
}

fn conn_close(_: &'static Memory, _: &Call) -> Result<()> {
    Ok(())
}

fn get_type(_: &'static Memory, call: &Call, ret: &mut vireo_connect_get_type_ret) -> Result<()> {
    ret.r#type = call.text("Demo");
    Ok(())
}

fn get_version(_: &'static Memory, _: &Call, ret: &mut vireo_connect_get_version_ret) -> Result<()> {
    ret.hv_ver = 1000000; // major * 1,000,000 + minor * 1,000 + release
    Ok(())
}

fn define(driver: &'static Memory, call: &Call, args: &vireo_domain_define_xml_flags_args,
          ret: &mut vireo_domain_define_xml_flags_ret) -> Result<()> {
    let mut domain = read_xml(&unsafe { string(args.xml) })?;
    let mut state = driver.state();

    if let Some(old) = state.domains.iter().find(|old| old.name == domain.name && old.uuid != domain.uuid) {
        return Err(Error(VIREO_ERR_DOM_EXIST, format!("domain '{}' exists with another uuid", old.name)));
    }
    if let Some(old) = state.domains.iter().position(|old| old.uuid == domain.uuid) {
        let old = state.domains.remove(old); // a new definition of a domain that may be running
        domain.id = old.id;
        domain.started = old.started;
    }
    driver.publish(&domain, VIREO_DOMAIN_SHUTOFF_UNKNOWN);
    ret.dom = refer(call, &domain);
    state.domains.push(domain);
    Ok(())
}

fn undefine(driver: &'static Memory, _: &Call, args: &vireo_domain_undefine_flags_args) -> Result<()> {
    let mut state = driver.state();
    let at = find(&mut state, &args.dom)?;
    let domain = &state.domains[at];
    let name = c_string(&domain.name);

    if domain.id != -1 {
        return Err(Error(VIREO_ERR_OPERATION_INVALID, format!("stop domain '{}' first", domain.name)));
    }
    unsafe {
        (driver.host.withdraw.unwrap())(driver.space, VIREO_CLASS_DOMAIN as u32, name.as_ptr() as *const c_char,
                                      domain.uuid.as_ptr());
    }
    state.domains.remove(at);
    Ok(())
}

fn create(driver: &'static Memory, call: &Call, args: &vireo_domain_create_with_flags_args,
          ret: &mut vireo_domain_create_with_flags_ret) -> Result<()> {
    let mut state = driver.state();
    let at = find(&mut state, &args.dom)?;
    let id = state.last_id + 1;
    let domain = &mut state.domains[at];

    if domain.id != -1 {
        return Err(Error(VIREO_ERR_OPERATION_INVALID, "domain is already running".to_string()));
    }
    domain.id = id;
    domain.started = Instant::now();
    driver.publish(domain, 0);
    ret.dom = refer(call, domain);
    state.last_id = id;
    Ok(())
}

fn destroy(driver: &'static Memory, _: &Call, args: &vireo_domain_destroy_flags_args) -> Result<()> {
    let mut state = driver.state();
    let at = find(&mut state, &args.dom)?;
    let domain = &mut state.domains[at];

    if domain.id == -1 {
        return Err(Error(VIREO_ERR_OPERATION_INVALID, "domain is not running".to_string()));
    }
    domain.id = -1;
    driver.publish(domain, VIREO_DOMAIN_SHUTOFF_DESTROYED);
    Ok(())
}

fn get_xml(driver: &'static Memory, call: &Call, args: &vireo_domain_get_xml_desc_args,
           ret: &mut vireo_domain_get_xml_desc_ret) -> Result<()> {
    let mut state = driver.state();
    let at = find(&mut state, &args.dom)?;

    ret.xml = call.text(&state.domains[at].xml);
    Ok(())
}

/// The core would answer this from what was published, were it not for the processor time.
fn get_info(driver: &'static Memory, _: &Call, args: &vireo_domain_get_info_args, ret: &mut vireo_domain_get_info_ret)
    -> Result<()> {
    let mut state = driver.state();
    let at = find(&mut state, &args.dom)?;
    let domain = &state.domains[at];
    let on = domain.id != -1;

    ret.state = if on { VIREO_DOMAIN_RUNNING } else { VIREO_DOMAIN_SHUTOFF } as _;
    ret.maxMem = domain.memory_kib;
    ret.memory = domain.memory_kib;
    ret.nrVirtCpu = 1;
    if on {
        ret.cpuTime = domain.started.elapsed().as_nanos() as u64;
    }
    Ok(())
}

// ---- the driver ----

impl Driver for Memory {
    fn new(host: &'static vireo_host, core: *mut vireo_core) -> Result<Memory> {
        let space = unsafe { (host.space.unwrap())(core, "demo:///default\0".as_ptr() as *const c_char) };

        Ok(Memory { host, space, state: Mutex::default() })
    }

    fn host(&self) -> &'static vireo_host {
        self.host
    }
}

/// A domain has none of these, so none is left behind.
const NOTHING_TO_LEAVE: i32 = VIREO_DOMAIN_UNDEFINE_MANAGED_SAVE
    | VIREO_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | VIREO_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | VIREO_DOMAIN_UNDEFINE_NVRAM
    | VIREO_DOMAIN_UNDEFINE_TPM;
/// There is one document for both states, and no secret in it.
const ONE_DOCUMENT: i32 = VIREO_DOMAIN_XML_SECURE | VIREO_DOMAIN_XML_INACTIVE;

driver! {
    name: "demo",
    version: "1.0",
    schemes: "demo",
    threads: VIREO_SERIAL,
    target: 0, // the oldest minor of the driver ABI that this runs on; raise it when you use something newer
    init: safe::init::<Memory>,
    fini: safe::fini::<Memory>,
    // operation, function, native, trivial, active, inactive
    ops: [
        (conn_open, full(conn_open), 0, 0, 0, 0),
        (conn_close, bare(conn_close), 0, 0, 0, 0),
        (connect_get_type, ret(get_type), 0, 0, 0, 0),
        (connect_get_version, ret(get_version), 0, 0, 0, 0),
        (domain_define_xml_flags, full(define), 0, 0, 0, 0),
        (domain_undefine_flags, args(undefine), 0, NOTHING_TO_LEAVE, 0, 0),
        (domain_create_with_flags, full(create), 0, 0, 0, 0),
        (domain_destroy_flags, args(destroy), 0, VIREO_DOMAIN_DESTROY_GRACEFUL, 0, 0),
        (domain_get_xml_desc, full(get_xml), 0, ONE_DOCUMENT, 0, 0),
        (domain_get_info, full(get_info), 0, 0, 0, 0),
    ],
}
