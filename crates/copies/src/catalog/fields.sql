-- What Odoo knows of its columns: table, column, type, translated, of a wizard.
-- Actions are models of their own, whose tables are named otherwise.
SELECT CASE WHEN m.model LIKE 'ir.actions.%' THEN replace(replace(m.model, 'ir.actions.', 'ir_act_'), '.', '_')
            ELSE replace(m.model, '.', '_') END,
       f.name::text, f.ttype::text,
       -- a truth value up to Odoo 18.0, a word since
       coalesce(f.translate::text NOT IN ('false', 'f', ''), false),
       coalesce(m.transient, false)
FROM public.ir_model_fields f JOIN public.ir_model m ON m.id = f.model_id
WHERE f.store
