"use strict";
// Uploads photos one after the other, and follows their jobs until the results are there.
{
  const POLL_MS = 400;
  const find = (id) => document.getElementById(id);
  const [form, task, list, start, frame] = ["options", "task", "photos", "start", "frame"].map(find);
  const largest = Number(document.body.dataset.maxUpload); // bytes
  const photos = []; // {file, row, state, job}; state: ready, busy, done or failed
  let busy = false; // whether photos are being uploaded

  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const having = (...states) => photos.filter((photo) => states.includes(photo.state));

  function showOptions() {
    for (const group of form.querySelectorAll("fieldset")) {
      group.hidden = group.disabled = group.dataset.task !== task.value;
    }
  }

  function add(files) {
    for (const file of files) {
      const row = find("photo").content.firstElementChild.cloneNode(true);
      const photo = { file, row, state: "ready", job: null };
      row.querySelector(".name").textContent = file.name;
      row.querySelector("progress").setAttribute("aria-label", `Progress of ${file.name}`);
      for (const act of row.querySelectorAll("[data-act]")) {
        act.setAttribute("aria-label", `${act.textContent} ${file.name}`);
      }
      row.querySelector("[data-act=remove]").addEventListener("click", () => remove(photo));
      row.querySelector("[data-act=compare]").addEventListener("click", () => compare(photo));
      photos.push(photo);
      list.append(row);
    }
    update();
  }

  function show(photo, state, text, progress = null) {
    photo.state = state;
    photo.row.querySelector(".state").textContent = text;
    const bar = photo.row.querySelector("progress");
    bar.hidden = progress === null;
    if (progress !== null) bar.value = progress;
    update();
  }

  function update() {
    const [ready, done, failed] = ["ready", "done", "failed"].map((state) => having(state));
    start.disabled = busy || !ready.length;
    start.textContent = ready.length > 1 ? `Restore ${ready.length} photos` : "Restore";
    find("clear").hidden = !photos.length;
    find("zip").hidden = done.length < 2;
    find("zip").href = `/v1/results.zip?${done.map((photo) => `id=${photo.job.id}`).join("&")}`;
    const finished = `${done.length + failed.length} of ${photos.length} photos finished`;
    const faults = failed.length ? `, ${failed.length} failed` : "";
    const text = photos.length > ready.length ? finished + faults : "";
    if (find("status").value !== text) find("status").value = text;
  }

  // The server

  async function call(address, settings) {
    try {
      return await fetch(address, settings);
    } catch {
      return Response.json({ error: "The server does not answer. Is it still running?" }, { status: 502 });
    }
  }

  async function read(response) {
    return response.json().catch(() => ({ error: `The server answered with status ${response.status}.` }));
  }

  async function upload(photo, address, options) {
    if (photo.file.size > largest) {
      return show(photo, "failed", `The file is larger than ${largest / 1e6} MB.`);
    }
    const body = new FormData();
    for (const [name, value] of options) body.append(name, value);
    body.append("photo", photo.file, photo.file.name);
    show(photo, "busy", "Uploading", 0);
    for (;;) {
      const response = await call(address, { method: "POST", body });
      const answer = await read(response);
      if (photos.indexOf(photo) < 0) return response.ok && discard(answer);
      if (response.ok) {
        photo.job = answer;
        return void follow(photo);
      }
      if (response.status !== 503) return show(photo, "failed", answer.error);
      show(photo, "busy", "The server is full. Remove finished photos to continue.", 0);
      await wait(1000 * Number(response.headers.get("Retry-After") ?? 1));
      if (photos.indexOf(photo) < 0) return;
    }
  }

  async function follow(photo) {
    const address = `/v1/jobs/${photo.job.id}`;
    for (;;) {
      const response = await call(address);
      const job = await read(response);
      if (photos.indexOf(photo) < 0) return;
      if (!response.ok) return show(photo, "failed", job.error);
      if (job.state === "failed") return show(photo, "failed", job.record.error);
      if (job.state === "done") return finish(photo, job.record, address);
      const before = job.before ? `Waiting for ${job.before} other photo${job.before > 1 ? "s" : ""}` : "Waiting";
      show(photo, "busy", job.state === "waiting" ? before : "Restoring", job.progress);
      await wait(POLL_MS);
    }
  }

  function finish(photo, record, address) {
    const size = `${record.output_width} × ${record.output_height} pixels, ${record.seconds.toFixed(1)} s`;
    show(photo, "done", [size, ...(record.found ?? []), ...(record.warnings ?? [])].join(". "));
    const link = photo.row.querySelector("[data-act=download]");
    link.href = `${address}/result?keep=true`;
    link.hidden = photo.row.querySelector("[data-act=compare]").hidden = false;
  }

  async function restore() {
    busy = true;
    const address = `/v1/${task.value}?wait=false`;
    const options = [...new FormData(form)];
    if (find("mask").files.length) options.push(["mask", find("mask").files[0]]);
    for (const photo of having("ready")) {
      if (photos.includes(photo)) await upload(photo, address, options);
    }
    busy = false;
    update();
  }

  function discard(job) {
    return call(`/v1/jobs/${job.id}`, { method: "DELETE" });
  }

  function remove(photo) {
    photos.splice(photos.indexOf(photo), 1);
    const next = photo.row.nextElementSibling ?? photo.row.previousElementSibling;
    photo.row.remove();
    (next?.querySelector("[data-act=remove]") ?? find("files")).focus();
    if (photo.job) discard(photo.job);
    update();
  }

  function compare(photo) {
    find("viewer").hidden = false;
    frame.src = `/v1/jobs/${photo.job.id}/comparison`;
    frame.addEventListener("load", () => frame.focus(), { once: true });
    find("viewer").scrollIntoView();
  }

  function shareTheme() {
    const theme = frame.contentDocument.getElementById("theme");
    if (theme) theme.checked = find("theme").checked;
  }

  // Events

  task.addEventListener("change", showOptions);
  frame.addEventListener("load", shareTheme);
  find("theme").addEventListener("change", shareTheme);
  form.addEventListener("submit", (event) => event.preventDefault());
  start.addEventListener("click", restore);
  find("clear").addEventListener("click", () => {
    for (const photo of [...photos]) remove(photo);
    find("viewer").hidden = true;
  });
  find("files").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = ""; // so that the same photo can be chosen again
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      find("drop").classList.toggle("over", kind === "dragover");
      if (kind === "drop") add(event.dataTransfer.files);
    });
  }
  // The server deletes what nobody asks for, so an open page asks for its results.
  setInterval(() => having("done").forEach((photo) => call(`/v1/jobs/${photo.job.id}`)), 60000);
  showOptions();
  update();
}
