/* An agent in C, with sd-bus and nothing else: tells how busy the machine is.
 *
 *     cc -Wall -o load_agent load_agent.c $(pkg-config --cflags --libs libsystemd)
 *
 * Run it in a session. What it does and why is in docs/agents.md, "With D-Bus alone". */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define MANAGER "org.guestmux.Manager1"
#define MANAGER_PATH "/org/guestmux/Manager1"
#define AGENT_PATH "/org/example/Load"
#define COMMAND "__org.example_load"
#define SCHEMA "{\"data\": {}, \"returns\": \"number\", \"doc\": \"Tell the load average of a minute.\"}"
#define ERROR "org.guestmux.Error."

/* Whose calls are answered: the unique name of who owns MANAGER now; empty for nobody's. */
static char eventd[256];
static int registered;

static int is_eventd(sd_bus_message *call, sd_bus_error *error)
{
    const char *sender = sd_bus_message_get_sender(call);

    if (sender != NULL && eventd[0] != '\0' && strcmp(sender, eventd) == 0)
        return 1;
    sd_bus_error_set(error, ERROR "Denied", "only eventd may call");
    return 0;
}

static int on_call(sd_bus_message *call, void *data, sd_bus_error *error)
{
    const char *command;
    double load;
    int r;

    (void)data;
    if (!is_eventd(call, error))
        return -EACCES;
    r = sd_bus_message_read(call, "s", &command);
    if (r < 0)
        return r;
    if (strcmp(command, COMMAND) != 0)
        return sd_bus_error_setf(error, ERROR "CommandNotFound", "The command %.128s has not been found", command);
    if (getloadavg(&load, 1) != 1)
        return sd_bus_error_set(error, ERROR "CommandFailed", "the kernel does not tell the load");
    return sd_bus_reply_method_return(call, "a{sv}", 1, "return", "d", load);
}

/* Every call is answered at once: there is nothing to cancel. */
static int on_cancel(sd_bus_message *call, void *data, sd_bus_error *error)
{
    (void)data;
    return is_eventd(call, error) ? sd_bus_reply_method_return(call, NULL) : -EACCES;
}

static int on_release(sd_bus_message *call, void *data, sd_bus_error *error)
{
    (void)data;
    if (!is_eventd(call, error))
        return -EACCES;
    eventd[0] = '\0';
    return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable agent[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Call", "sa{sv}a{sv}", "a{sv}", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Cancel", "t", "", on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Release", "", "", on_release, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END
};

static int on_registered(sd_bus_message *reply, void *data, sd_bus_error *error)
{
    const sd_bus_error *refusal = sd_bus_message_get_error(reply);
    const char *session;

    (void)data, (void)error;
    if (refusal != NULL)
        fprintf(stderr, "not registered: %s\n", refusal->message);
    else if (sd_bus_message_read(reply, "s", &session) >= 0)
        fprintf(stderr, "registered in session %s\n", session);
    registered = refusal == NULL;
    return 0;
}

static int enroll(sd_bus *bus, const char *owner)
{
    if (owner != eventd)
        snprintf(eventd, sizeof eventd, "%s", owner);
    registered = 0;
    if (eventd[0] == '\0')
        return 0;
    return sd_bus_call_method_async(bus, NULL, eventd, MANAGER_PATH, MANAGER, "RegisterAgent", on_registered, NULL,
                                    "osa{sv}", AGENT_PATH, "org.example.load", 2,
                                    "version", "s", "1.0",
                                    "commands", "a{ss}", 1, COMMAND, SCHEMA);
}

/* Another eventd came, or this one went. */
static int on_owner(sd_bus_message *change, void *data, sd_bus_error *error)
{
    const char *name, *former, *owner;
    int r = sd_bus_message_read(change, "sss", &name, &former, &owner);

    (void)data, (void)error;
    return r < 0 ? r : enroll(sd_bus_message_get_bus(change), owner);
}

/* Sessions came or went: at login systemd may start this before logind knows of the session. */
static int on_changed(sd_bus_message *change, void *data, sd_bus_error *error)
{
    (void)data, (void)error;
    return registered ? 0 : enroll(sd_bus_message_get_bus(change), eventd);
}

static int on_first_owner(sd_bus_message *reply, void *data, sd_bus_error *error)
{
    const char *owner;

    (void)data, (void)error;
    if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "s", &owner) < 0)
        return 0; /* nobody yet: on_owner will hear of it */
    return enroll(sd_bus_message_get_bus(reply), owner);
}

static int fail(const char *what, int r)
{
    fprintf(stderr, "%s: %s\n", what, strerror(-r));
    return EXIT_FAILURE;
}

int main(void)
{
    sd_bus *bus;
    int r;

    if ((r = sd_bus_open_system(&bus)) < 0)
        return fail("no system bus", r);
    if ((r = sd_bus_add_object_vtable(bus, NULL, AGENT_PATH, "org.guestmux.Agent1", agent, NULL)) < 0)
        return fail("no object", r);
    r = sd_bus_add_match(bus, NULL,
                         "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" MANAGER "'",
                         on_owner, NULL);
    if (r < 0)
        return fail("no signal", r);
    r = sd_bus_match_signal(bus, NULL, MANAGER, MANAGER_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                            on_changed, NULL);
    if (r < 0)
        return fail("no signal", r);
    r = sd_bus_call_method_async(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                 "GetNameOwner", on_first_owner, NULL, "s", MANAGER);
    if (r < 0)
        return fail("no answer", r);
    while ((r = sd_bus_process(bus, NULL)) >= 0)
        if (r == 0 && (r = sd_bus_wait(bus, UINT64_MAX)) < 0 && r != -EINTR)
            break;
    return fail("the bus is lost", r);
}
